//! A simple format for tests: `a:int64,b:string` is a file of these columns without rows.

use crate::model::dataset::schema::{Column, Format, Schema};
use crate::model::error::Error;
use crate::model::preview::{Inspected, Preview};
use crate::ports::Formats;
use crate::ports::storage::OpenFile;
use async_trait::async_trait;
use std::sync::Arc;

/// Bytes of a file that are read.
const BYTES_MAX: usize = 4096;

#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryFormats;

#[async_trait]
impl Formats for MemoryFormats {
    async fn preview(&self, file: Arc<dyn OpenFile>, name: &str, _: u64) -> Result<Preview, Error> {
        let Inspected { format, row_count, schema, problem } = self.inspect(file, name).await?;
        let num_columns = schema.as_ref().map_or(0, |schema| schema.columns.len()) as u64;
        Ok(Preview { row_count, schema, num_columns, problem, ..Preview::nothing(format) })
    }

    async fn inspect(&self, file: Arc<dyn OpenFile>, _: &str) -> Result<Inspected, Error> {
        let bytes = file.read(0, BYTES_MAX).await?;
        let text = String::from_utf8_lossy(&bytes);
        let column = |column: &str| {
            let (name, kind) = column.split_once(':')?;
            Some(Column { name: name.to_owned(), kind: kind.to_owned(), nullable: false })
        };
        let columns: Option<Vec<Column>> = text.split(',').map(column).collect();
        Ok(match columns {
            Some(columns) => {
                let schema = Some(Schema::of(Format::Parquet, columns));
                Inspected { format: Format::Parquet, row_count: Some(0), schema, problem: None }
            }
            None => Inspected { format: Format::Other, row_count: None, schema: None, problem: None },
        })
    }
}
