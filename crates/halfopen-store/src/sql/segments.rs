//! How the engine reads segments: through the checks of `segment::open`, off its own threads.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use super::provider::external;
use crate::segment::open::OpenSegment;
use crate::segment::{Damage, Segment};
use crate::shared::Shared;

/// The segment behind a file of a plan.
pub(super) struct SegmentRef(pub(super) Arc<Segment>);

/// Makes readers of segments.
pub(super) struct SegmentReaders {
    shared: Arc<Shared>,
}

struct SegmentReader {
    shared: Arc<Shared>,
    segment: Arc<Segment>,
}

impl SegmentReaders {
    pub(super) fn new(shared: Arc<Shared>) -> SegmentReaders {
        SegmentReaders { shared }
    }
}

impl fmt::Debug for SegmentReaders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SegmentReaders")
    }
}

impl ParquetFileReaderFactory for SegmentReaders {
    fn create_reader(
        &self,
        _partition: usize,
        file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let segment = file.extension::<SegmentRef>();
        let segment = segment.ok_or_else(|| external("a file that is no segment"))?;
        let segment = Arc::clone(&segment.0);
        Ok(Box::new(SegmentReader { shared: Arc::clone(&self.shared), segment }))
    }
}

impl SegmentReader {
    /// Runs `act` on the open segment, in a thread for blocking work.
    fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(OpenSegment) -> Result<T, Damage> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, ParquetError>> {
        let (shared, segment) = (Arc::clone(&self.shared), Arc::clone(&self.segment));
        async move {
            let done = tokio::task::spawn_blocking(move || {
                shared.open_segments.get(&segment).and_then(act)
            });
            let done = done.await.map_err(|error| ParquetError::External(Box::new(error)))?;
            done.map_err(|damage| ParquetError::External(Box::new(damage)))
        }
        .boxed()
    }
}

impl AsyncFileReader for SegmentReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        self.with(move |open| open.file.read(range))
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        self.with(move |open| ranges.into_iter().map(|range| open.file.read(range)).collect())
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        self.with(|open| Ok(Arc::clone(open.footer.metadata())))
    }
}
