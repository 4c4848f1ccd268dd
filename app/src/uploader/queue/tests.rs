//! Rules of the queue, and random events.

use super::super::item::SMALL_BYTES;
use super::super::totals::Filter;
use super::*;
use proptest::prelude::*;

/// Queue of files that are sent without digests.
fn queue_of(sizes: &[u64]) -> Queue {
    let mut queue = Queue::default();
    queue.send_unread();
    for (index, size_bytes) in sizes.iter().enumerate() {
        queue.add(String::new(), format!("{index}.csv"), *size_bytes, 7);
    }
    queue
}

fn begun(queue: &mut Queue) -> Vec<usize> {
    std::iter::from_fn(|| queue.next(0).map(|item| item.id.0)).collect()
}

fn state(queue: &Queue, id: usize) -> &State {
    &queue.item(ItemId(id)).unwrap().state
}

fn digest() -> Result<String, Failure> {
    Ok("ab".repeat(32))
}

fn refused(message: &str) -> Failure {
    Failure { code: 40001, message: message.to_owned() }
}

#[test]
fn files_go_in_order_and_only_so_many_at_once_of_large_ones_fewer() {
    let mut queue = queue_of(&[100; 7]);
    assert_eq!(begun(&mut queue), [0, 1, 2, 3, 4]);
    queue.arrived(ItemId(1), 1, 10);
    assert_eq!(begun(&mut queue), [5]);
    let large = SMALL_BYTES;
    let mut queue = queue_of(&[large, large, large, large, 1, 1, 1]);
    assert_eq!(begun(&mut queue), [0, 1, 2, 4, 5]);
    queue.arrived(ItemId(2), 1, 10);
    assert_eq!(begun(&mut queue), [3]);
}

#[test]
fn a_file_is_read_then_asked_about_and_sent_only_where_the_lake_lacks_it() {
    let mut queue = Queue::default();
    for name in ["a", "b"] {
        queue.add("dt=1".into(), name.into(), 10, 0);
    }
    assert_eq!((queue.next(0), queue.next_question(0)), (None, None));
    assert_eq!(queue.next_to_read(), [ItemId(0), ItemId(1)]);
    queue.hashed(ItemId(0), digest());
    queue.hashed(ItemId(1), digest());
    let asked: Vec<_> = queue.next_question(0).unwrap().into_iter().map(|file| file.path).collect();
    assert_eq!(asked, ["dt=1/a", "dt=1/b"]);
    assert_eq!(queue.next_question(0), None, "one question at a time");
    let missing = Missing { missing: vec!["dt=1/b".into()], unchanged: 1, taken_over: 0 };
    assert_eq!(queue.answered(Some(&missing)), [ItemId(0)]);
    assert_eq!(state(&queue, 0), &State::Unchanged);
    assert_eq!(begun(&mut queue), [1]);
    queue.arrived(ItemId(1), 1, 5);
    let totals = queue.totals(5);
    assert_eq!((totals.arrived, totals.unchanged, totals.percent(), totals.is_settled()), (1, 1, 100, true));
}

#[test]
fn a_question_without_an_answer_is_asked_again_and_one_that_is_refused_is_not() {
    let mut queue = Queue::default();
    queue.add(String::new(), "a".into(), 10, 0);
    queue.next_to_read();
    queue.hashed(ItemId(0), digest());
    assert!(queue.next_question(0).is_some());
    queue.unanswered(0, 1.0);
    assert!(queue.next_question(499).is_none(), "the way is broken");
    assert!(queue.next_question(500).is_some());
    queue.answered(None);
    assert_eq!(begun(&mut queue), [0], "sending it tells why");
}

#[test]
fn a_file_that_cannot_be_read_has_failed() {
    let mut queue = Queue::default();
    queue.add(String::new(), "a".into(), 10, 0);
    queue.next_to_read();
    queue.hashed(ItemId(0), Err(Failure::here("unreadable")));
    assert_eq!(state(&queue, 0), &State::Failed(Failure::here("unreadable")));
}

#[test]
fn interrupted_files_resume_first_and_from_their_offset() {
    let mut queue = queue_of(&[SMALL_BYTES, 10, 10]);
    begun(&mut queue);
    queue.goes_on_at(ItemId(0), 1, 0, 0);
    queue.progress(ItemId(0), 1, 600, 10);
    queue.goes_on_at(ItemId(0), 1, 500, 10);
    for id in 0..3 {
        queue.broke(ItemId(id), 1, 20, 1.0);
    }
    assert_eq!(state(&queue, 0), &State::Ready { bytes_sent: 500 });
    assert_eq!(queue.next(519), None);
    assert_eq!(queue.next(520).map(|item| (item.id.0, item.turn)), Some((0, 2)));
    assert_eq!(queue.next(520), None, "one alone tries the way");
    queue.goes_on_at(ItemId(0), 2, 400, 530);
    assert_eq!(begun(&mut queue).len(), 2);
    let totals = queue.totals(540);
    assert_eq!((totals.sending, totals.bytes_done), (3, 400));
}

#[test]
fn a_small_file_whose_answer_was_lost_is_asked_about_before_it_is_sent_again() {
    let mut queue = Queue::default();
    queue.add(String::new(), "a".into(), 10, 0);
    queue.next_to_read();
    queue.hashed(ItemId(0), digest());
    queue.next_question(0);
    queue.answered(Some(&Missing { missing: vec!["a".into()], ..Missing::default() }));
    assert_eq!(begun(&mut queue), [0]);
    queue.broke(ItemId(0), 1, 0, 0.0);
    assert_eq!(state(&queue, 0), &State::Asking);
    assert!(queue.next_question(500).is_some());
    queue.answered(Some(&Missing { unchanged: 1, ..Missing::default() }));
    assert_eq!(state(&queue, 0), &State::Unchanged);
}

#[test]
fn faults_of_the_server_are_tried_again_but_not_for_ever() {
    let mut queue = queue_of(&[10]);
    let mut now_ms = 0;
    for turn in 1..=FAULTS_MAX {
        now_ms += 60_000;
        assert_eq!(queue.next(now_ms).map(|item| item.turn), Some(turn));
        queue.faulted(ItemId(0), turn, refused("a fault"), now_ms, 1.0);
    }
    assert_eq!(state(&queue, 0), &State::Failed(refused("a fault")));
}

#[test]
fn a_file_cancelled_while_it_waits_is_never_sent() {
    let mut queue = queue_of(&[100, 100]);
    assert!(!queue.cancel(ItemId(0)));
    assert_eq!(begun(&mut queue), [1]);
    assert!(queue.cancel(ItemId(1)));
    assert!(queue.totals(0).is_settled());
}

#[test]
fn a_late_answer_to_an_earlier_turn_changes_nothing() {
    let mut queue = queue_of(&[100]);
    begun(&mut queue);
    queue.cancel(ItemId(0));
    queue.failed(ItemId(0), 1, refused("aborted"));
    assert_eq!(state(&queue, 0), &State::Cancelled);
    queue.retry(ItemId(0));
    assert_eq!(begun(&mut queue), [0]);
    queue.broke(ItemId(0), 1, 0, 0.0);
    queue.arrived(ItemId(0), 1, 0);
    assert!(queue.item(ItemId(0)).unwrap().is_sending());
}

#[test]
fn a_pause_holds_everything_back_and_keeps_what_was_sent() {
    let mut queue = queue_of(&[SMALL_BYTES, 10, 10, 10, 10, 10, 10]);
    begun(&mut queue);
    queue.progress(ItemId(0), 1, 1000, 1);
    assert_eq!(queue.pause_all().len(), PARALLEL_MAX);
    assert_eq!((begun(&mut queue), state(&queue, 0)), (vec![], &State::Ready { bytes_sent: 1000 }));
    queue.resume_all();
    assert_eq!(begun(&mut queue), [0, 1, 2, 3, 4]);
    assert!(queue.pause(ItemId(0)), "its request is to be broken off");
    assert_eq!(begun(&mut queue), [5]);
    assert_eq!(state(&queue, 0), &State::Paused { bytes_sent: 1000 });
    assert!(!queue.totals(0).is_settled());
    queue.cancel(ItemId(1));
    queue.resume(ItemId(0));
    assert_eq!(begun(&mut queue), [0], "before those that have not begun");
}

#[test]
fn a_pause_while_a_digest_is_taken_does_not_lose_the_digest() {
    let mut queue = Queue::default();
    queue.add(String::new(), "a".into(), 10, 0);
    queue.next_to_read();
    queue.pause(ItemId(0));
    queue.hashed(ItemId(0), digest());
    queue.resume(ItemId(0));
    assert!(queue.next_to_read().is_empty());
    assert!(queue.next_question(0).is_some());
}

#[test]
fn a_request_that_stands_still_is_found() {
    let mut queue = queue_of(&[SMALL_BYTES, SMALL_BYTES]);
    begun(&mut queue);
    queue.progress(ItemId(1), 1, 5, STALLED_MS);
    assert_eq!(queue.stalled(STALLED_MS + 1), [(ItemId(0), 1)]);
}

#[test]
fn a_file_that_is_chosen_twice_is_sent_once() {
    let mut queue = queue_of(&[100]);
    let mut add = |size_bytes, modified_ms| queue.add(String::new(), "0.csv".into(), size_bytes, modified_ms);
    assert_eq!(add(100, 7), Added::Known);
    assert_eq!(add(100, 8), Added::Instead { new: ItemId(1), old: ItemId(0) });
    queue.cancel(ItemId(0));
    assert_eq!(begun(&mut queue), [1]);
    queue.failed(ItemId(1), 1, refused("gone"));
    assert_eq!(queue.add(String::new(), "0.csv".into(), 100, 8), Added::Again(ItemId(1)));
    assert_eq!(begun(&mut queue), [1]);
}

#[test]
fn failures_are_grouped_by_reason_and_each_reason_is_retried_by_itself() {
    let mut queue = queue_of(&[1; 5]);
    begun(&mut queue);
    for id in 0..3 {
        queue.failed(ItemId(id), 1, refused(&format!("{id} leads upward")));
    }
    queue.failed(ItemId(3), 1, Failure { code: 50700, message: "the disk is full".into() });
    queue.arrived(ItemId(4), 1, 1);
    let groups = queue.failures();
    assert_eq!(
        groups.iter().map(|group| (group.failure.code, group.files)).collect::<Vec<_>>(),
        [(40001, 3), (50700, 1)]
    );
    queue.retry_failed(Some(&groups[0].failure));
    assert_eq!(begun(&mut queue), [0, 1, 2]);
    queue.cancel(ItemId(0));
    queue.retry_failed(None);
    assert_eq!(begun(&mut queue), [3], "what was cancelled stays so");
}

#[test]
fn rows_are_given_by_what_is_in_view() {
    let mut queue = queue_of(&[1; 100]);
    begun(&mut queue);
    queue.failed(ItemId(2), 1, refused("x"));
    let shown = queue.shown(Filter::All, 40, 3);
    assert_eq!((shown.all, shown.first, shown.ids), (100, 40, vec![ItemId(40), ItemId(41), ItemId(42)]));
    assert_eq!(queue.shown(Filter::All, 99, 3).first, 97);
    let failed = queue.shown(Filter::Failed, 50, 3);
    assert_eq!((failed.all, failed.first, failed.ids), (1, 0, vec![ItemId(2)]));
    assert_eq!(queue.shown(Filter::Sending, 0, 10).all, 4);
}

#[test]
fn rate_and_time_left_count_only_what_goes_over_the_wire() {
    let mut queue = queue_of(&[2_000_000]);
    queue.next(0);
    queue.goes_on_at(ItemId(0), 1, 1_000_000, 0);
    for second in 0..=4 {
        queue.progress(ItemId(0), 1, 1_000_000 + second * 100_000, second as i64 * 1000);
    }
    let totals = queue.totals(4000);
    assert_eq!((totals.percent(), totals.time_left_ms), (70, Some(6000)));
    assert_eq!(queue.item(ItemId(0)).unwrap().time_left_ms(4000), Some(6000));
}

#[test]
fn a_hundred_percent_means_that_all_is_there() {
    let mut queue = queue_of(&[100]);
    begun(&mut queue);
    queue.progress(ItemId(0), 1, 100, 1);
    assert_eq!(queue.totals(1).percent(), 99);
    queue.arrived(ItemId(0), 1, 2);
    assert_eq!(queue.totals(2).percent(), 100);
}

/// Event of a queue, for the file with this index.
#[derive(Debug, Clone)]
enum Event {
    Add(u64),
    Read,
    Hashed(usize, bool),
    Ask,
    Answered(bool),
    Unanswered,
    Next,
    Progress(usize, u64),
    Arrived(usize),
    Failed(usize),
    Broke(usize),
    Faulted(usize),
    Pause(usize),
    Resume(usize),
    PauseAll,
    ResumeAll,
    Cancel(usize),
    Retry(usize),
    Later(i64),
}

fn event() -> impl Strategy<Value = Event> {
    let id = || 0_usize..12;
    prop_oneof![
        (0_u64..3).prop_map(|size| Event::Add(size * SMALL_BYTES)),
        Just(Event::Read),
        (id(), any::<bool>()).prop_map(|(id, ok)| Event::Hashed(id, ok)),
        Just(Event::Ask),
        any::<bool>().prop_map(Event::Answered),
        Just(Event::Unanswered),
        Just(Event::Next),
        (id(), 0_u64..5_000_000).prop_map(|(id, bytes)| Event::Progress(id, bytes)),
        id().prop_map(Event::Arrived),
        id().prop_map(Event::Failed),
        id().prop_map(Event::Broke),
        id().prop_map(Event::Faulted),
        id().prop_map(Event::Pause),
        id().prop_map(Event::Resume),
        Just(Event::PauseAll),
        Just(Event::ResumeAll),
        id().prop_map(Event::Cancel),
        id().prop_map(Event::Retry),
        (0_i64..40_000).prop_map(Event::Later),
    ]
}

fn apply(queue: &mut Queue, event: &Event, now_ms: &mut i64) {
    let turn = |queue: &Queue, id: usize| queue.item(ItemId(id)).map_or(0, |item| item.turn);
    match *event {
        Event::Add(size) => drop(queue.add(String::new(), format!("{}", queue.items.len()), size, 0)),
        Event::Read => drop(queue.next_to_read()),
        Event::Hashed(id, is_ok) => {
            if matches!(queue.item(ItemId(id)).map(|item| &item.state), Some(State::Hashing { .. })) {
                queue.hashed(ItemId(id), if is_ok { digest() } else { Err(Failure::here("unreadable")) });
            }
        }
        Event::Ask => drop(queue.next_question(*now_ms)),
        Event::Answered(all) => {
            let missing =
                Missing { missing: (0..12).step_by(2).map(|id| id.to_string()).collect(), ..Missing::default() };
            drop(queue.answered(if all { None } else { Some(&missing) }));
        }
        Event::Unanswered => queue.unanswered(*now_ms, 0.5),
        Event::Next => drop(queue.next(*now_ms)),
        Event::Progress(id, bytes) => queue.progress(ItemId(id), turn(queue, id), bytes, *now_ms),
        Event::Arrived(id) => queue.arrived(ItemId(id), turn(queue, id), *now_ms),
        Event::Failed(id) => queue.failed(ItemId(id), turn(queue, id), refused("x")),
        Event::Broke(id) => queue.broke(ItemId(id), turn(queue, id), *now_ms, 0.5),
        Event::Faulted(id) => queue.faulted(ItemId(id), turn(queue, id), refused("x"), *now_ms, 0.5),
        Event::Pause(id) => drop(queue.pause(ItemId(id))),
        Event::Resume(id) => queue.resume(ItemId(id)),
        Event::PauseAll => drop(queue.pause_all()),
        Event::ResumeAll => queue.resume_all(),
        Event::Cancel(id) => drop(queue.cancel(ItemId(id))),
        Event::Retry(id) => queue.retry(ItemId(id)),
        Event::Later(ms) => *now_ms += ms,
    }
}

proptest! {
    #[test]
    fn random_events_keep_every_file_counted_once_and_able_to_finish(events in prop::collection::vec(event(), 0..120)) {
        let mut queue = Queue::default();
        let mut now_ms = 0;
        for event in &events {
            apply(&mut queue, event, &mut now_ms);
            let totals = queue.totals(now_ms);
            prop_assert_eq!(totals.files() + totals.cancelled, queue.items.len());
            prop_assert_eq!(totals.sending, queue.sending);
            prop_assert!(queue.sending <= PARALLEL_MAX && queue.sending_large <= LARGE_PARALLEL_MAX);
            prop_assert!(totals.bytes_done <= totals.bytes);
        }
        // From any state, a server that answers completes the queue.
        queue.answered(None);
        queue.resume_all();
        for _ in 0..200 {
            now_ms += 60_000;
            let being_read: Vec<_> = queue.items.iter().filter(|item| matches!(item.state, State::Hashing { .. })).map(|item| item.id).collect();
            for id in being_read.into_iter().chain(queue.next_to_read()).collect::<BTreeSet<_>>() {
                queue.hashed(id, digest());
            }
            if queue.next_question(now_ms).is_some() {
                queue.answered(None);
            }
            queue.next(now_ms);
            let sent: Vec<_> = queue.items.iter().filter(|item| item.is_sending()).map(|item| (item.id, item.turn)).collect();
            for (id, turn) in sent {
                queue.arrived(id, turn, now_ms);
            }
        }
        prop_assert!(queue.totals(now_ms).is_settled(), "{:?}", queue.items);
    }
}
