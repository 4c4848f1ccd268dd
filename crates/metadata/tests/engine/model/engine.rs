//! The engine that is compared with the model, with a clock and random bytes of its own.

use super::*;

#[derive(Default)]
pub(super) struct TestClock(pub(super) AtomicI64);

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(self.now().0.unsigned_abs())
    }

    async fn pause(&self, _length: Duration) {}
}

/// Never the same twice.
#[derive(Default)]
pub(super) struct Counting(AtomicU64);

impl Randomness for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Error> {
        let next = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes();
        bytes.iter_mut().zip(next).for_each(|(byte, of_next)| *byte = of_next);
        Ok(())
    }
}

/// The engine, and what its ports remember across a restart.
pub(super) struct Engine {
    pub(super) lake: Lake,
    pub(super) database: Database,
    pub(super) files: MemoryFiles,
    pub(super) clock: Arc<TestClock>,
    pub(super) randomness: Arc<Counting>,
    pub(super) caller: Caller,
}

impl Engine {
    pub(super) async fn new() -> Self {
        let (database, files) = (Database::new().await, MemoryFiles::default());
        let (clock, randomness) = (Arc::<TestClock>::default(), Arc::<Counting>::default());
        let caller = Caller::Known(Grant::new("model", Role::Admin, None));
        let lake = Self::lake(&database.state, &files, &clock, &randomness);
        Self { lake, database, files, clock, randomness, caller }
    }

    pub(super) fn lake(
        state: &Arc<dyn State>,
        files: &MemoryFiles,
        clock: &Arc<TestClock>,
        randomness: &Arc<Counting>,
    ) -> Lake {
        Lake::new(Parts {
            state: state.clone(),
            files: Arc::new(files.clone()),
            formats: Arc::new(MemoryFormats),
            clock: clock.clone(),
            randomness: randomness.clone(),
            limits: Limits {
                sync_idle_max: IDLE_MAX,
                supersede_after: Some(SUPERSEDE_AFTER),
                shrink_guard: ShrinkGuard::of(&[GuardRule::parse("0.5").unwrap()]),
                ..Limits::default()
            },
        })
    }

    pub(super) async fn upload(&self, sync: usize, name: &str, content: &str, breaks: bool) -> Result<(), Error> {
        let destination = self.lake.destination(&self.caller, id(sync), None).await?;
        let mut incoming = destination.begin(UploadRequest::named(name)).await?;
        incoming.write(Bytes::copy_from_slice(content.as_bytes())).await?;
        if breaks {
            let error = Error::IncompleteUpload("it broke off".into());
            incoming.fail(&error).await?;
            return Err(error);
        }
        incoming.land().await.map(drop)
    }

    pub(super) async fn restart(&mut self) {
        self.lake = Self::lake(&self.database.state, &self.files, &self.clock, &self.randomness);
        let recovered = self.lake.recover().await.unwrap();
        assert!(recovered.faults.is_empty(), "{recovered:?}");
    }

    pub(super) fn live(&self) -> Files {
        let files = self.files.live_files().into_iter();
        files.map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect()
    }
}
