//! The engine's settings and functions, made once and on the first query: a server that is not
//! asked anything does not wait for them at its start.

use std::sync::Arc;
use std::thread::available_parallelism;

use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider,
};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::{SessionConfig, SessionContext};
use object_store::memory::InMemory;
use tokio::runtime::{Builder, Handle, Runtime};

use super::quantile::{QuantileOf, QuantileSketch};
use super::words::GroupByWords;
use super::{functions, problem};
use crate::error::QueryError;

/// With one partition the plan has no parallel part at all, which is seldom tested.
const PARTITIONS_MIN: usize = 2;
const BATCH_ROWS: usize = 8_192;
/// The catalogue and schema that unqualified names belong to.
const NAMES: (&str, &str) = ("halfopen", "evidence");

/// What all queries have in common.
pub(crate) struct Base {
    state: SessionState,
    /// Queries run in threads of their own: a long one does not delay an acknowledgement.
    threads: Option<Runtime>,
}

impl Drop for Base {
    fn drop(&mut self) {
        // The last clone of the store may go inside a runtime, which must not be blocked.
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

/// Under this address the engine asks for segments; nothing is ever read through it.
pub(super) fn segments_url() -> ObjectStoreUrl {
    ObjectStoreUrl::parse("halfopen://segments").expect("a well-formed address")
}

impl Base {
    pub(super) fn new() -> Base {
        let partitions = available_parallelism().map_or(1, usize::from).max(PARTITIONS_MIN);
        let threads = Builder::new_multi_thread()
            .worker_threads(partitions)
            .thread_name("halfopen-query")
            .enable_time()
            .build();
        let mut config = SessionConfig::new()
            .with_target_partitions(partitions)
            .with_batch_size(BATCH_ROWS)
            .with_information_schema(true)
            .with_default_catalog_and_schema(NAMES.0, NAMES.1);
        let options = config.options_mut();
        // Text stays in the type in which it is stored.
        options.sql_parser.map_string_types_to_utf8view = false;
        options.execution.parquet.schema_force_view_types = false;
        let functions =
            functions::all().into_iter().map(|function| Arc::new(ScalarUDF::from(function)));
        let mut state = SessionStateBuilder::new().with_config(config).with_default_features();
        if let Some(known) = state.scalar_functions() {
            known.extend(functions);
            known.push(Arc::new(ScalarUDF::from(QuantileOf::new())));
        }
        if let Some(known) = state.aggregate_functions() {
            known.push(Arc::new(AggregateUDF::from(QuantileSketch::new())));
        }
        let state = state.with_physical_optimizer_rule(Arc::new(GroupByWords));
        // Without threads of its own a query runs where it was asked.
        Base { state: state.build(), threads: threads.ok() }
    }

    /// Where queries run.
    pub(super) fn threads(&self) -> Handle {
        self.threads.as_ref().map_or_else(Handle::current, |threads| threads.handle().clone())
    }

    /// The surroundings of one query: its own memory, its own tables, no disk.
    pub(super) fn context(&self, memory_bytes_max: usize) -> Result<SessionContext, QueryError> {
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_bytes_max)))
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(problem::explain)?;
        runtime
            .deregister_object_store(ObjectStoreUrl::local_filesystem().as_ref())
            .map_err(problem::explain)?;
        runtime.register_object_store(segments_url().as_ref(), Arc::new(InMemory::new()));
        let catalogue = MemoryCatalogProvider::new();
        catalogue
            .register_schema(NAMES.1, Arc::new(MemorySchemaProvider::new()))
            .map_err(problem::explain)?;
        let catalogues = MemoryCatalogProviderList::new();
        catalogues.register_catalog(NAMES.0.to_owned(), Arc::new(catalogue));
        let state = SessionStateBuilder::new_from_existing(self.state.clone())
            .with_runtime_env(runtime)
            .with_catalog_list(Arc::new(catalogues))
            .build();
        Ok(SessionContext::new_with_state(state))
    }
}
