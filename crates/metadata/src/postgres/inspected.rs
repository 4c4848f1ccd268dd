//! Records the columns of inspected files, and compares them with the baseline. A group of files takes a few
//! statements, however many files it has.

use super::query::{Row, Value, changed, rows, values};
use super::schemas::{ids_of, parse, remember_good};
use super::writing::{Counter, SyncLock, Writing};
use crate::row::{id, is_null, parsed};
use crate::versions::counting;
use lakeshore::Error;
use lakeshore::model::dataset::schema::{Schema, SchemaPolicy};
use lakeshore::model::preview::Inspected;
use lakeshore::model::sync::job::Phase;
use lakeshore::ports::metadata::schema::InspectedUpload;
use sqlx::Row as _;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Highest id of a schema, and the files that wait for their inspection, with what their syncs are compared with.
const FILES: &str = "SELECT u.history_id, u.sync_id FROM uploads u WHERE u.history_id = ANY(?) AND \
     (EXISTS (SELECT 1 FROM uninspected q WHERE q.history_id = u.history_id) \
     OR EXISTS (SELECT 1 FROM inspection_attempts a WHERE a.history_id = u.history_id))";
const SYNCS: &str = "SELECT s.sync_id, s.phase, p.policy, d.sync_id AS good_sync_id, d.schema_id AS good_id, d.before_id, \
     f.first_id AS first_file_id, f.schema_id AS first_schema_id FROM syncs s \
     LEFT JOIN schema_policies p ON p.path = s.path LEFT JOIN dataset_schemas d ON d.path = s.path \
     LEFT JOIN LATERAL (SELECT first_id, schema_id FROM sync_schemas WHERE sync_id = s.sync_id \
         ORDER BY first_id LIMIT 1) AS f ON TRUE WHERE s.sync_id = ANY(?)";
const SCHEMAS: &str = "SELECT s.schema_id, s.content FROM unnest($1) AS w (content) \
     JOIN schemas s ON md5(s.content) = md5(w.content) AND s.content = w.content";
const SCHEMAS_OF_SYNCS: &str =
    "SELECT sync_id, schema_id FROM sync_schemas WHERE sync_id = ANY($1) AND schema_id = ANY($2)";
const CONTENTS: &str = "SELECT schema_id, content FROM schemas WHERE schema_id = ANY(?)";

/// Writes all results of a group.
const REMEMBER: &str = "\
     DELETE FROM inspection_attempts WHERE history_id = ANY($1); \
     DELETE FROM uninspected WHERE history_id = ANY($1); \
     INSERT INTO schemas (schema_id, content) SELECT (value ->> 0)::bigint, value ->> 1 FROM json_each($2); \
     INSERT INTO sync_schemas AS s (sync_id, schema_id, files, first_id) \
     SELECT (value ->> 0)::bigint, (value ->> 1)::bigint, (value ->> 2)::bigint, (value ->> 3)::bigint FROM json_each($3) \
     ON CONFLICT (sync_id, schema_id) DO UPDATE SET files = s.files + excluded.files; \
     INSERT INTO file_schemas (history_id, row_count, schema_id, baseline_id, problem, difference) \
     SELECT (value ->> 0)::bigint, (value ->> 1)::bigint, (value ->> 2)::bigint, (value ->> 3)::bigint, value ->> 4, \
         value ->> 5 FROM json_each($4); \
     INSERT INTO differing_files (sync_id, history_id) \
     SELECT (value ->> 0)::bigint, (value ->> 1)::bigint FROM json_each($5); \
     UPDATE syncs SET num_differing = num_differing + (value ->> 1)::bigint FROM json_each($6) \
     WHERE sync_id = (value ->> 0)::bigint";

/// Records the results of files that wait for their inspection.
pub(super) async fn remember_inspected(writing: &mut Writing, files: &[InspectedUpload]) -> Result<(), Error> {
    let ids = ids_of(&files.iter().map(|file| file.upload_id).collect::<Vec<_>>());
    let content = |file: &InspectedUpload| file.inspected.schema.as_ref().map(serde_json::to_string).transpose();
    let contents = files.iter().map(content).collect::<Result<Vec<_>, _>>().map_err(Error::internal)?;
    let mut known = Known::find(writing, &ids, contents.iter().flatten().collect()).await?;
    let mut group = Group::default();
    for (file, content) in files.iter().zip(&contents) {
        group.add(&mut known, file, content.as_deref());
    }
    let baselines = known.baselines(writing, &group).await?;
    group.write(writing, ids, &baselines).await
}

/// Data of the database about a group's files.
#[derive(Default)]
struct Known {
    /// The highest id of a schema.
    last_id: i64,
    /// Files that wait for their inspection, with their syncs.
    files: HashMap<i64, i64>,
    syncs: HashMap<i64, OfSync>,
    /// Ids of the group's schemas.
    schemas: HashMap<String, i64>,
}

struct OfSync {
    baseline: Baseline,
    /// The first file with columns, and the id of its schema.
    first: Option<(i64, i64)>,
    /// Schemas of the group that the sync has already.
    has: BTreeSet<i64>,
}

/// Schema that a file of a sync is compared with.
enum Baseline {
    Nothing,
    /// The schema left by an earlier sync.
    Before(i64),
    /// The columns of the sync's own first file.
    First,
}

fn of_sync(row: &Row) -> sqlx::Result<(i64, OfSync)> {
    let first: Option<i64> = row.try_get("first_file_id")?;
    let first = first.zip(row.try_get("first_schema_id")?);
    Ok((row.try_get("sync_id")?, OfSync { baseline: baseline(row)?, first, has: BTreeSet::new() }))
}

fn baseline(row: &Row) -> sqlx::Result<Baseline> {
    if !is_null(row, "policy")? && parsed(row, "policy", SchemaPolicy::parse)? == SchemaPolicy::Ignore {
        return Ok(Baseline::Nothing);
    }
    let (sync_id, good_sync_id): (i64, Option<i64>) = (row.try_get("sync_id")?, row.try_get("good_sync_id")?);
    let before: Option<i64> = match good_sync_id.map(|good_sync_id| good_sync_id.cmp(&sync_id)) {
        // A late sync is not compared with a newer one.
        Some(Ordering::Greater) if parsed(row, "phase", Phase::parse)? == Phase::Ended => return Ok(Baseline::Nothing),
        Some(Ordering::Equal) => row.try_get("before_id")?,
        Some(Ordering::Less | Ordering::Greater) => row.try_get("good_id")?,
        None => None,
    };
    Ok(before.map_or(Baseline::First, Baseline::Before))
}

impl OfSync {
    fn baseline_id(&self) -> Option<i64> {
        match self.baseline {
            Baseline::Nothing => None,
            Baseline::Before(schema_id) => Some(schema_id),
            Baseline::First => self.first.map(|(_, schema_id)| schema_id),
        }
    }

    fn add(&mut self, history_id: i64, schema_id: i64) {
        if self.has.insert(schema_id) && self.first.is_none_or(|(first, _)| history_id < first) {
            self.first = Some((history_id, schema_id));
        }
    }
}

impl Known {
    /// Reads the data, with the syncs and the history locked.
    async fn find(writing: &mut Writing, ids: &[i64], contents: BTreeSet<&String>) -> Result<Self, Error> {
        let sql = "SELECT DISTINCT sync_id FROM uploads WHERE history_id = ANY(?)";
        let syncs: Vec<i64> = rows(writing, sql, values![ids.to_vec()], |row| row.try_get(0)).await?;
        writing.lock_syncs(syncs.clone(), SyncLock::Change).await?;
        writing.lock_history().await?;
        let mut known = Self { last_id: writing.next_ids(Counter::Schemas, 0).await?, ..Self::default() };
        let file = |row: &Row| Ok((row.try_get::<i64, _>("history_id")?, row.try_get::<i64, _>("sync_id")?));
        known.files = rows(writing, FILES, values![ids.to_vec()], file).await?.into_iter().collect();
        known.syncs = rows(writing, SYNCS, values![syncs], of_sync).await?.into_iter().collect();
        let schema = |row: &Row| Ok((row.try_get::<String, _>("content")?, row.try_get::<i64, _>("schema_id")?));
        let contents = Value::texts(contents.into_iter().map(String::as_str));
        known.schemas = rows(writing, SCHEMAS, vec![contents], schema).await?.into_iter().collect();
        let schemas: Vec<i64> = known.schemas.values().copied().collect();
        let one = |row: &Row| Ok((row.try_get::<i64, _>("sync_id")?, row.try_get::<i64, _>("schema_id")?));
        for (sync_id, schema_id) in rows(writing, SCHEMAS_OF_SYNCS, values![syncs, schemas], one).await? {
            if let Some(sync) = known.syncs.get_mut(&sync_id) {
                sync.has.insert(schema_id);
            }
        }
        Ok(known)
    }

    /// Reads the schemas that files of the group are compared with.
    async fn baselines(&self, writing: &mut Writing, group: &Group<'_>) -> Result<HashMap<i64, Schema>, Error> {
        let mut wanted: BTreeSet<_> = group.files.iter().filter_map(|file| file.baseline_id).collect();
        let mut baselines = HashMap::new();
        for (content, schema_id) in &self.schemas {
            if wanted.remove(schema_id) {
                baselines.insert(*schema_id, parse(content)?);
            }
        }
        if wanted.is_empty() {
            return Ok(baselines);
        }
        let wanted = vec![Value::Integers(wanted.into_iter().collect())];
        let content = |row: &Row| Ok((row.try_get("schema_id")?, row.try_get::<String, _>("content")?));
        for (schema_id, content) in rows(writing, CONTENTS, wanted, content).await? {
            baselines.insert(schema_id, parse(&content)?);
        }
        Ok(baselines)
    }
}

/// Rows that a group writes.
#[derive(Default)]
struct Group<'a> {
    new_schemas: Vec<(i64, &'a str)>,
    /// For each sync and schema, the number of its files and the first of them.
    of_syncs: BTreeMap<(i64, i64), (u64, i64)>,
    files: Vec<Read<'a>>,
}

/// A file with a result.
struct Read<'a> {
    history_id: i64,
    sync_id: i64,
    inspected: &'a Inspected,
    schema_id: Option<i64>,
    /// The baseline, where it differs from the file's schema.
    baseline_id: Option<i64>,
}

impl<'a> Group<'a> {
    fn add(&mut self, known: &mut Known, file: &'a InspectedUpload, content: Option<&'a str>) {
        let InspectedUpload { upload_id, inspected } = file;
        let history_id = id(upload_id.0);
        let Some(sync_id) = known.files.remove(&history_id) else { return };
        if inspected.row_count.is_none() && inspected.schema.is_none() && inspected.problem.is_none() {
            return;
        }
        let Some(sync) = known.syncs.get_mut(&sync_id) else { return };
        let schema_id = content.map(|content| {
            known.schemas.get(content).copied().unwrap_or_else(|| {
                known.last_id += 1;
                known.schemas.insert(content.to_owned(), known.last_id);
                self.new_schemas.push((known.last_id, content));
                known.last_id
            })
        });
        let mut baseline_id = None;
        if let Some(schema_id) = schema_id {
            baseline_id = sync.baseline_id().filter(|baseline_id| *baseline_id != schema_id);
            sync.add(history_id, schema_id);
            self.of_syncs.entry((sync_id, schema_id)).or_insert((0, history_id)).0 += 1;
        }
        self.files.push(Read { history_id, sync_id, inspected, schema_id, baseline_id });
    }

    async fn write(self, writing: &mut Writing, ids: Vec<i64>, baselines: &HashMap<i64, Schema>) -> Result<(), Error> {
        let mut files = Vec::with_capacity(self.files.len());
        let mut differing = Vec::new();
        let mut num_differing: BTreeMap<i64, u64> = BTreeMap::new();
        for Read { history_id, sync_id, inspected, schema_id, baseline_id } in &self.files {
            let Inspected { row_count, schema, problem, .. } = inspected;
            let baseline = baseline_id.and_then(|baseline_id| Some((baseline_id, baselines.get(&baseline_id)?)));
            let difference = baseline.zip(schema.as_ref()).and_then(|((baseline_id, old), new)| {
                new.differs_from(old).map(|difference| (baseline_id, difference.in_short()))
            });
            let (baseline_id, difference) = difference.unzip();
            if baseline_id.is_some() {
                differing.push((sync_id, history_id));
                *num_differing.entry(*sync_id).or_default() += 1;
            }
            let difference = difference.map(|difference| serde_json::to_string(&difference)).transpose();
            let difference = difference.map_err(Error::internal)?;
            files.push((history_id, row_count.map(id), schema_id, baseline_id, problem, difference));
        }
        let of_sync = |((sync_id, schema_id), (files, first_id)): (&(i64, i64), &(u64, i64))| {
            (*sync_id, *schema_id, *files, *first_id)
        };
        let syncs: BTreeSet<_> = self.of_syncs.keys().map(|(sync_id, _)| *sync_id).collect();
        let added = i64::try_from(self.new_schemas.len()).map_err(Error::internal)?;
        if added > 0 {
            writing.next_ids(Counter::Schemas, added).await?;
        }
        let values = vec![
            Value::Integers(ids),
            Value::rows(&self.new_schemas)?,
            Value::rows(&self.of_syncs.iter().map(of_sync).collect::<Vec<_>>())?,
            Value::rows(&files)?,
            Value::rows(&differing)?,
            Value::rows(&num_differing.into_iter().collect::<Vec<_>>())?,
        ];
        changed(writing, REMEMBER, values).await?;
        remember_good(writing, syncs.into_iter().collect()).await?;
        let counted = |file: &Read<'_>| Some((file.history_id, file.inspected.row_count?));
        counting::count(writing, &self.files.iter().filter_map(counted).collect::<Vec<_>>()).await
    }
}
