//! Records the columns of inspected files, and compares them with the baseline. A group of files takes a few
//! statements, however many files it has: they read all that is needed, the comparison runs here, one text writes.

use crate::query::{Connection, Dialect, Text, Value, execute, fetch_all};
use crate::row::{DbRow, id, is_null, parsed};
use crate::schemas::{parse, record_baseline, rows_of};
use crate::transaction::{Counter, SyncLock, WriteTransaction};
use crate::versions::counting;
use lakeshore::Error;
use lakeshore::model::dataset::schema::{Schema, SchemaPolicy};
use lakeshore::model::id::SyncId;
use lakeshore::model::preview::Inspected;
use lakeshore::model::sync::job::Phase;
use lakeshore::ports::metadata::schema::InspectedUpload;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Syncs of a group of files, to lock them.
const SYNCS: &str = "SELECT DISTINCT u.sync_id FROM json_each($1) CROSS JOIN uploads u \
     WHERE u.history_id = CAST(value ->> 0 AS BIGINT)";

/// Reads what a group needs, by its files, their columns, and their syncs; the first column of a row names its kind.
fn found_text<D: Dialect>() -> String {
    let (first, is_content) = ("CAST(value ->> 0 AS BIGINT)", D::equal_texts("s.content", "value ->> 0"));
    [
        "SELECT 'last' AS is_of, (SELECT coalesce(max(schema_id), 0) FROM schemas) AS schema_id".to_owned(),
        // Files that were recorded before are left out.
        format!(
            "SELECT 'file' AS is_of, u.history_id, u.sync_id FROM json_each($1) CROSS JOIN uploads u \
             WHERE u.history_id = {first} AND (EXISTS (SELECT 1 FROM uninspected q WHERE q.history_id = u.history_id) \
             OR EXISTS (SELECT 1 FROM inspection_attempts a WHERE a.history_id = u.history_id))"
        ),
        format!(
            "SELECT 'sync' AS is_of, s.sync_id, s.phase, p.policy, d.sync_id AS good_sync_id, d.schema_id AS good_id, \
             d.before_id, (SELECT min(first_id) FROM sync_schemas f WHERE f.sync_id = s.sync_id) AS first_file_id, \
             (SELECT schema_id FROM sync_schemas f WHERE f.sync_id = s.sync_id ORDER BY first_id LIMIT 1) \
             AS first_schema_id FROM syncs s LEFT JOIN schema_policies p ON p.path = s.path \
             LEFT JOIN dataset_schemas d ON d.path = s.path WHERE s.sync_id IN (SELECT {first} FROM json_each($3))"
        ),
        format!(
            "SELECT 'schema' AS is_of, s.schema_id, s.content FROM json_each($2) CROSS JOIN schemas s WHERE {is_content}"
        ),
        format!(
            "SELECT 'schema of a sync' AS is_of, f.sync_id, f.schema_id FROM sync_schemas f \
             WHERE f.sync_id IN (SELECT {first} FROM json_each($3)) \
             AND f.schema_id IN (SELECT s.schema_id FROM json_each($2) CROSS JOIN schemas s WHERE {is_content})"
        ),
    ]
    .join("; ")
}

const CONTENTS: &str = "SELECT s.schema_id, s.content FROM json_each(?) CROSS JOIN schemas s \
     WHERE s.schema_id = CAST(value ->> 0 AS BIGINT)";

/// Writes the results of a group.
const REMEMBER: &str = "\
     DELETE FROM inspection_attempts WHERE history_id IN (SELECT CAST(value ->> 0 AS BIGINT) FROM json_each($1)); \
     DELETE FROM uninspected WHERE history_id IN (SELECT CAST(value ->> 0 AS BIGINT) FROM json_each($1)); \
     INSERT INTO schemas (schema_id, content) SELECT CAST(value ->> 0 AS BIGINT), value ->> 1 FROM json_each($2); \
     INSERT INTO sync_schemas AS s (sync_id, schema_id, files, first_id) \
     SELECT CAST(value ->> 0 AS BIGINT), CAST(value ->> 1 AS BIGINT), CAST(value ->> 2 AS BIGINT), \
         CAST(value ->> 3 AS BIGINT) FROM json_each($3) WHERE TRUE \
     ON CONFLICT (sync_id, schema_id) DO UPDATE SET files = s.files + excluded.files; \
     INSERT INTO file_schemas (history_id, row_count, schema_id, baseline_id, problem, difference) \
     SELECT CAST(value ->> 0 AS BIGINT), CAST(value ->> 1 AS BIGINT), CAST(value ->> 2 AS BIGINT), \
         CAST(value ->> 3 AS BIGINT), value ->> 4, value ->> 5 FROM json_each($4); \
     INSERT INTO differing_files (sync_id, history_id) \
     SELECT CAST(value ->> 0 AS BIGINT), CAST(value ->> 1 AS BIGINT) FROM json_each($5); \
     UPDATE syncs SET num_differing = num_differing + CAST(value ->> 1 AS BIGINT) FROM json_each($6) \
     WHERE sync_id = CAST(value ->> 0 AS BIGINT)";

/// Records the results of files that wait for their inspection.
pub(crate) async fn remember_inspected(
    writing: &mut impl WriteTransaction,
    files: &[InspectedUpload],
) -> Result<(), Error> {
    let ids = rows_of(&files.iter().map(|file| file.upload_id).collect::<Vec<_>>())?;
    let content = |file: &InspectedUpload| file.inspected.schema.as_ref().map(serde_json::to_string).transpose();
    let contents = files.iter().map(content).collect::<Result<Vec<_>, _>>().map_err(Error::internal)?;
    let mut known = InspectionFacts::find(writing, &ids, contents.iter().flatten().collect()).await?;
    let mut group = Group::default();
    for (file, content) in files.iter().zip(&contents) {
        group.add(&mut known, file, content.as_deref());
    }
    let baselines = known.baselines(writing, &group).await?;
    group.write(writing, ids, &baselines).await
}

/// Data of the database about a group's files.
#[derive(Default)]
struct InspectionFacts {
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

enum FactRow {
    Last(i64),
    File { history_id: i64, sync_id: i64 },
    Sync(i64, OfSync),
    Schema(String, i64),
    OfSync { sync_id: i64, schema_id: i64 },
}

fn found_row(row: &impl DbRow) -> sqlx::Result<FactRow> {
    Ok(match row.text("is_of")? {
        "last" => FactRow::Last(row.get("schema_id")?),
        "file" => FactRow::File { history_id: row.get("history_id")?, sync_id: row.get("sync_id")? },
        "sync" => {
            let first: Option<i64> = row.get("first_file_id")?;
            let first = first.zip(row.get("first_schema_id")?);
            FactRow::Sync(row.get("sync_id")?, OfSync { baseline: baseline(row)?, first, has: BTreeSet::new() })
        }
        "schema" => FactRow::Schema(row.get("content")?, row.get("schema_id")?),
        _ => FactRow::OfSync { sync_id: row.get("sync_id")?, schema_id: row.get("schema_id")? },
    })
}

fn baseline(row: &impl DbRow) -> sqlx::Result<Baseline> {
    if !is_null(row, "policy")? && parsed(row, "policy", SchemaPolicy::parse)? == SchemaPolicy::Ignore {
        return Ok(Baseline::Nothing);
    }
    let (sync_id, good_sync_id): (i64, Option<i64>) = (row.get("sync_id")?, row.get("good_sync_id")?);
    let before: Option<i64> = match good_sync_id.map(|good_sync_id| good_sync_id.cmp(&sync_id)) {
        // A late sync is not compared with a newer one.
        Some(Ordering::Greater) if parsed(row, "phase", Phase::parse)? == Phase::Ended => return Ok(Baseline::Nothing),
        Some(Ordering::Equal) => row.get("before_id")?,
        Some(Ordering::Less | Ordering::Greater) => row.get("good_id")?,
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

impl InspectionFacts {
    /// Reads the data, with the syncs and the history locked.
    async fn find<W: WriteTransaction>(
        writing: &mut W,
        ids: &Value,
        contents: BTreeSet<&String>,
    ) -> Result<Self, Error> {
        static FOUND: Text = Text::new();
        let syncs: Vec<i64> = fetch_all(writing, SYNCS, vec![ids.clone()], |row| row.get("sync_id")).await?;
        let of_syncs = Value::column(&syncs)?;
        writing.lock_syncs(syncs, SyncLock::Change).await?;
        writing.lock_history().await?;
        let next_id = writing.new_ids(Counter::Schemas, 0).await?;
        let mut known = Self::default();
        let asked = vec![ids.clone(), Value::column(contents)?, of_syncs];
        let text = FOUND.of::<W::Db>(found_text::<W::Db>);
        for found in fetch_all(writing, text, asked, found_row).await? {
            match found {
                FactRow::Last(last_id) => known.last_id = last_id,
                FactRow::File { history_id, sync_id } => drop(known.files.insert(history_id, sync_id)),
                FactRow::Sync(sync_id, sync) => drop(known.syncs.insert(sync_id, sync)),
                FactRow::Schema(content, schema_id) => drop(known.schemas.insert(content, schema_id)),
                FactRow::OfSync { sync_id, schema_id } => {
                    if let Some(sync) = known.syncs.get_mut(&sync_id) {
                        sync.has.insert(schema_id);
                    }
                }
            }
        }
        // The counter is locked, where there is one, and the next id is not given twice.
        known.last_id = next_id.map_or(known.last_id, |next_id| next_id - 1);
        Ok(known)
    }

    /// Reads the schemas that files of the group are compared with.
    async fn baselines(
        &self,
        connection: &mut impl Connection,
        group: &Group<'_>,
    ) -> Result<HashMap<i64, Schema>, Error> {
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
        for (schema_id, content) in fetch_all(connection, CONTENTS, vec![Value::column(wanted)?], content).await? {
            baselines.insert(schema_id, parse(&content)?);
        }
        Ok(baselines)
    }
}

fn content(row: &impl DbRow) -> sqlx::Result<(i64, String)> {
    Ok((row.get("schema_id")?, row.get("content")?))
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
    fn add(&mut self, known: &mut InspectionFacts, file: &'a InspectedUpload, content: Option<&'a str>) {
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

    async fn write(
        self,
        writing: &mut impl WriteTransaction,
        ids: Value,
        baselines: &HashMap<i64, Schema>,
    ) -> Result<(), Error> {
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
        if !self.new_schemas.is_empty() {
            writing.new_ids(Counter::Schemas, self.new_schemas.len()).await?;
        }
        let values = vec![
            ids,
            Value::rows(&self.new_schemas)?,
            Value::rows(&self.of_syncs.iter().map(of_sync).collect::<Vec<_>>())?,
            Value::rows(&files)?,
            Value::rows(&differing)?,
            Value::rows(&num_differing.into_iter().collect::<Vec<_>>())?,
        ];
        execute(writing, REMEMBER, values).await?;
        // One after the other, in their order: two of them may have the same path.
        for sync_id in syncs {
            record_baseline(writing, SyncId(sync_id.cast_unsigned())).await?;
        }
        let counted = |file: &Read<'_>| Some((file.history_id, file.inspected.row_count?));
        counting::count(writing, &self.files.iter().filter_map(counted).collect::<Vec<_>>()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend as _;
    use crate::query::Select;
    use crate::schemas::tests::goes_by_an_index;
    use crate::sqlite::SqliteState;
    use sqlx::Executor;

    #[tokio::test]
    async fn what_a_group_needs_and_changes_is_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteState::open(&folder.path().join("lakeshore.db")).await.unwrap();
        let mut connection = state.0.look().await.unwrap();
        // A plan would also show how rows that wait for their parent would be found, and none ever wait.
        connection.execute("PRAGMA foreign_keys = OFF").await.unwrap();
        let found = found_text::<sqlx::Sqlite>();
        for sql in found.split("; ").chain([SYNCS, CONTENTS]).chain(REMEMBER.split("; ")) {
            goes_by_an_index(Select::new(sql), &mut connection).await;
        }
    }
}
