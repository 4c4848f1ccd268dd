//! Pages of the list of syncs: the choice of the index for every filter.

use crate::counts::{dense_page, page_of_slice, slice};
use crate::query::{Connection, Dialect, Select};
use crate::row::SYNC_COLUMNS;
use lakeshore::Error;
use lakeshore::model::page::SyncQuery;

/// Query of a page of the list; `None` if no row can match.
pub(crate) async fn select<C: Connection>(connection: &mut C, wanted: &SyncQuery) -> Result<Option<Select>, Error> {
    let page = &wanted.page;
    let whole_rows = |ids: Select| ids.whole_rows(SYNC_COLUMNS, "syncs", "sync_id", page.order);
    if wanted.path.is_some() || wanted.scope.is_some() || wanted.text.is_some() {
        // The narrower of the two, where one lies within the other.
        let place = wanted.path.as_ref().or(wanted.scope.as_ref());
        let is_few = match place {
            Some(place) => {
                let index = C::Db::indexed_by("syncs_by_path");
                let mut rows = Select::new(format!("SELECT 1 FROM syncs{index} WHERE TRUE"));
                rows.within_range("path", Some(place));
                C::Db::is_small(connection.raw(), rows).await?
            }
            None => false,
        };
        let mut ids = matching::<C::Db>(wanted, if is_few { "syncs_by_path" } else { "syncs_in_order" });
        if is_few {
            ids.within_range("path", place);
        }
        ids.within("path", wanted.path.as_ref()).within("path", wanted.scope.as_ref());
        ids.holding::<C::Db>(["name", "path"], wanted.text.as_deref());
        ids.page("sync_id", page.order, page.size, page.from);
        return Ok(Some(whole_rows(ids)));
    }
    if wanted.status.is_none() && wanted.sync_type.is_none() {
        let mut select = Select::new(format!("SELECT {SYNC_COLUMNS} FROM syncs WHERE TRUE"));
        dense_page(&mut select, "sync_id", "(SELECT max(sync_id) FROM syncs)", page);
        return Ok(Some(select));
    }
    let types = wanted.sync_type.map_or("'FullSync', 'IncrementalSync'".into(), |one| format!("'{}'", one.as_str()));
    let statuses = wanted.status.map_or("'Syncing', 'Finished', 'Failed'".into(), |one| format!("'{}'", one.as_str()));
    let slice = slice(connection, page, |counts| {
        counts.push("SELECT block, CAST(sum(total) AS BIGINT) FROM sync_counts WHERE sync_type IN (").push(&types);
        counts.push(") AND status IN (").push(&statuses).push(")");
    })
    .await?;
    let index = match (wanted.status, wanted.sync_type) {
        (Some(_), Some(_)) => "syncs_by_status",
        (None, Some(_)) => "syncs_by_type",
        (_, None) => "syncs_in_order",
    };
    Ok(slice.map(|slice| {
        let mut ids = matching::<C::Db>(wanted, index);
        page_of_slice(&mut ids, "sync_id", page, &slice);
        whole_rows(ids)
    }))
}

/// Ids of the syncs with a status and a type, by an index of both.
fn matching<D: Dialect>(wanted: &SyncQuery, index: &str) -> Select {
    let mut ids = Select::new(format!("SELECT sync_id FROM syncs{} WHERE TRUE", D::indexed_by(index)));
    if let Some(status) = wanted.status {
        ids.push(" AND status = ").bind(status.as_str());
    }
    if let Some(sync_type) = wanted.sync_type {
        ids.push(" AND sync_type = ").bind(sync_type.as_str());
    }
    ids
}
