//! The runtime's settings. Two engines: `hot` compiles with care and has a pool of places as large as the machine's maps
//! allow; `jit` compiles at once and runs what is run a single time.

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    Strategy, WasmBacktraceDetails,
};

/// Instances at once, where the machine's maps allow so many.
const INSTANCES_MAX: u32 = 10_000;
/// Instances at once of components that are run a single time.
const INSTANCES_ONCE_MAX: u32 = 32;
/// Maps of memory that the process needs for everything else.
const OTHER_MAPS: u32 = 5_000;
/// Maps of memory that an instance in the pool takes.
const MAPS_PER_INSTANCE: u32 = 4;
/// Maps that a stack in the pool takes, used or not.
const MAPS_PER_STACK: u32 = 2;
/// What `vm.max_map_count` is where nobody changed it.
const MAPS_DEFAULT: u32 = 65_530;
/// The most memory that any call may have, in bytes.
pub(crate) const MEMORY_BYTES_MAX: usize = 64 << 20;
/// Addresses for one memory, in bytes. With as many as a component can name, no access needs to be checked by code.
const RESERVED_BYTES: u64 = 4 << 30;
const GUARD_BYTES: u64 = 32 << 20;
/// Bytes of a place that stay in memory between calls, so that the next one needs no new pages: changes of the page
/// tables stop every processor, and cost more than the call itself.
const RESIDENT_BYTES: usize = 256 << 10;
/// Bytes of stack that a call may use.
const STACK_BYTES_MAX: usize = 512 << 10;
/// Bytes of a stack of its own, which a call that waits for the host has: what it may use, and what the host needs.
const STACK_BYTES: usize = STACK_BYTES_MAX + (256 << 10);

/// What an engine can be opened as on this machine: the first that can. Where there are too few addresses for the best
/// (`ulimit -v`, small containers), code checks each access, and at last there is no pool.
#[derive(Clone, Copy, Debug)]
enum Memory {
    /// No access is checked by code.
    Unchecked,
    /// Places of 64 MiB.
    Checked,
    /// Each memory is made when it is needed.
    OnDemand,
}

/// The engine for what is called again and again, and how many calls may wait for the host at once in it.
///
/// # Errors
/// When this machine can run no components at all.
pub(crate) fn hot(waiting_max: u32) -> wasmtime::Result<(Engine, usize)> {
    let places = Places::of(maps_max(), waiting_max);
    let mut config = config(Strategy::Cranelift, OptLevel::Speed);
    // A map more for each memory: data is copied into its place instead.
    config.memory_init_cow(false);
    Ok((open(&config, places)?, places.stacks as usize))
}

/// The engine for what is run a single time: compiled four to ten times as fast, running two to three times as slowly.
///
/// # Errors
/// When this machine can run no components at all.
pub(crate) fn jit() -> wasmtime::Result<Engine> {
    let places = Places {
        instances: INSTANCES_ONCE_MAX,
        stacks: INSTANCES_ONCE_MAX,
    };
    let baseline = open(&config(Strategy::Winch, OptLevel::None), places);
    // There is none for some processors.
    baseline.or_else(|error| {
        tracing::info!(%error, "what is run once is compiled without the baseline compiler");
        open(&config(Strategy::Cranelift, OptLevel::None), places)
    })
}

fn open(config: &Config, places: Places) -> wasmtime::Result<Engine> {
    let with = |memory| {
        let mut config = config.clone();
        memory_of(&mut config, memory, places);
        Engine::new(&config)
    };
    with(Memory::Unchecked)
        .or_else(|_| with(Memory::Checked))
        .or_else(|error| {
            tracing::info!(%error, "components run without a pool of places");
            with(Memory::OnDemand)
        })
}

fn config(strategy: Strategy, level: OptLevel) -> Config {
    let mut config = Config::new();
    config
        .strategy(strategy)
        .cranelift_opt_level(level)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        .async_stack_size(STACK_BYTES)
        // The names of functions are enough; reading a component's debug information is work for a stranger's bytes.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false);
    config
}

fn memory_of(config: &mut Config, memory: Memory, places: Places) {
    config.memory_reservation_for_growth(0);
    match memory {
        Memory::Unchecked => config
            .memory_reservation(RESERVED_BYTES)
            .memory_guard_size(GUARD_BYTES)
            .allocation_strategy(places.pool()),
        Memory::Checked => config
            .memory_reservation(MEMORY_BYTES_MAX as u64)
            .memory_guard_size(0)
            .allocation_strategy(places.pool()),
        Memory::OnDemand => config
            .memory_reservation(MEMORY_BYTES_MAX as u64)
            .memory_guard_size(0)
            .allocation_strategy(InstanceAllocationStrategy::OnDemand),
    };
}

/// How many there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Places {
    instances: u32,
    /// Stacks of calls that wait for the host.
    stacks: u32,
}

impl Places {
    /// As many as the kernel's limit of maps leaves room for.
    fn of(maps_max: u32, waiting_max: u32) -> Self {
        let maps = maps_max.saturating_sub(OTHER_MAPS);
        let stacks = waiting_max.min(maps / (MAPS_PER_INSTANCE + MAPS_PER_STACK));
        let stacks = stacks.max(8);
        let maps = maps.saturating_sub(stacks * MAPS_PER_STACK);
        let instances = (maps / MAPS_PER_INSTANCE).clamp(stacks, INSTANCES_MAX);
        Self { instances, stacks }
    }

    fn pool(self) -> InstanceAllocationStrategy {
        let n = self.instances;
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(n)
            // The usual toolchains make three core instances of a component.
            .total_core_instances(n * 4)
            .total_memories(n)
            .total_tables(n * 2)
            .total_stacks(self.stacks)
            .max_memories_per_component(1)
            .max_tables_per_component(3)
            .table_elements(20_000)
            .max_core_instance_size(64 << 10)
            .max_component_instance_size(64 << 10)
            .max_memory_size(MEMORY_BYTES_MAX)
            .linear_memory_keep_resident(RESIDENT_BYTES)
            .table_keep_resident(RESIDENT_BYTES)
            .decommit_batch_size(1)
            .max_unused_warm_slots(n.min(256))
            .pagemap_scan(Enabled::Auto);
        InstanceAllocationStrategy::Pooling(pool)
    }
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
    fn s8_the_runtime_is_no_older_than_the_one_whose_known_faults_are_mended() {
        let lock = include_str!("../../../Cargo.lock");
        let rest = lock.split("name = \"wasmtime\"\nversion = \"").nth(1);
        let version = rest.and_then(|rest| rest.split('"').next()).unwrap();
        let numbers: Vec<u32> = version.split('.').map(|n| n.parse().unwrap()).collect();
        assert!(numbers >= vec![48, 0, 8], "{version}");
    }

    #[test]
    fn the_pool_leaves_maps_to_the_rest_of_the_process() {
        let places = |maps, waiting| {
            let Places { instances, stacks } = Places::of(maps, waiting);
            (instances, stacks)
        };
        assert_eq!(places(MAPS_DEFAULT, 500), (INSTANCES_MAX, 500));
        assert_eq!(places(MAPS_DEFAULT, 10_000), (INSTANCES_MAX, 10_000));
        assert_eq!(places(8_000, 500), (500, 500));
        assert_eq!(places(1_000, 500), (8, 8));
    }

    #[test]
    fn every_kind_of_memory_opens_for_both_engines() {
        let places = Places::of(MAPS_DEFAULT, 8);
        for strategy in [Strategy::Cranelift, Strategy::Winch] {
            for memory in [Memory::Unchecked, Memory::Checked, Memory::OnDemand] {
                let mut config = config(strategy, OptLevel::None);
                memory_of(&mut config, memory, places);
                assert!(Engine::new(&config).is_ok(), "{strategy:?} {memory:?}");
            }
        }
    }
}
