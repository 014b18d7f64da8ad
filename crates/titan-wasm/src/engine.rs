//! The runtime's settings: a pool of places for instances, as large as the machine's maps allow.

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

/// Instances at once, where the machine's maps allow so many.
const INSTANCES_MAX: u32 = 1_000;
/// Maps of memory that the process needs for everything else.
const OTHER_MAPS: u32 = 5_000;
/// Maps of memory that an instance in the pool takes.
const MAPS_PER_INSTANCE: u32 = 6;
/// What `vm.max_map_count` is where nobody changed it.
const MAPS_DEFAULT: u32 = 65_530;
/// The most memory that any call may have, in bytes.
pub(crate) const MEMORY_BYTES_MAX: usize = 64 << 20;
/// Addresses for one memory, in bytes. With as many as a component can name, no access needs to be checked by code.
const RESERVED_BYTES: u64 = 4 << 30;
/// Bytes of a place that stay in memory between calls, so that the next one needs no new pages.
const RESIDENT_BYTES: usize = 256 << 10;
/// Bytes of stack that a call may use.
const STACK_BYTES_MAX: usize = 512 << 10;

/// An engine with a pool; where the machine has too few addresses for one (`ulimit -v`), without.
///
/// # Errors
/// When this machine can run no components at all.
pub(crate) fn open() -> wasmtime::Result<Engine> {
    let n = places(maps_max());
    let pooled = Engine::new(config().allocation_strategy(pool(n)));
    pooled.or_else(|error| {
        tracing::info!(%error, "components run without a pool of places");
        Engine::new(&config())
    })
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        .memory_reservation(RESERVED_BYTES)
        .memory_guard_size(32 << 20)
        .memory_reservation_for_growth(0)
        // The names of functions are enough; reading a component's debug information is work for a stranger's bytes.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false);
    config
}

fn pool(n: u32) -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(n)
        // The usual toolchains make three core instances of a component.
        .total_core_instances(n * 4)
        .total_memories(n)
        .total_tables(n * 2)
        .max_memories_per_component(1)
        .max_tables_per_component(3)
        .table_elements(20_000)
        .max_core_instance_size(64 << 10)
        .max_component_instance_size(64 << 10)
        .max_memory_size(MEMORY_BYTES_MAX)
        .linear_memory_keep_resident(RESIDENT_BYTES)
        .table_keep_resident(RESIDENT_BYTES)
        .pagemap_scan(Enabled::Auto);
    InstanceAllocationStrategy::Pooling(pool)
}

fn places(maps_max: u32) -> u32 {
    (maps_max.saturating_sub(OTHER_MAPS) / MAPS_PER_INSTANCE).clamp(8, INSTANCES_MAX)
}

fn maps_max() -> u32 {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count");
    let count = text.ok().and_then(|text| text.trim().parse().ok());
    count.unwrap_or(MAPS_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_leaves_maps_to_the_rest_of_the_process() {
        assert_eq!(places(MAPS_DEFAULT), INSTANCES_MAX);
        assert_eq!(places(8_000), 500);
        assert_eq!(places(1_000), 8);
    }
}
