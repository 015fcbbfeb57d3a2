//! What the processor must know for this build, and what it does know.
//!
//! llama.cpp is compiled for one set of instructions: see `scripts/environment`. A machine that lacks one of them would
//! stop the program without a word, so this is looked at before anything of llama.cpp runs. Another set sums in another
//! order, so it is part of the engine's identity.

use std::ffi::c_int;

use llama_cpp_sys_2 as sys;

/// Tiles of matrices: the name of the processor's extension.
const TILES: &str = "amx_int8";

/// An extension that llama.cpp can be compiled for.
struct Extension {
    name: &'static str,
    is_compiled: unsafe extern "C" fn() -> c_int,
    is_here: fn() -> bool,
}

#[cfg(target_arch = "x86_64")]
const EXTENSIONS: &[Extension] = &[
    Extension { name: "avx", is_compiled: sys::ggml_cpu_has_avx, is_here: || is_x86_feature_detected!("avx") },
    Extension { name: "avx2", is_compiled: sys::ggml_cpu_has_avx2, is_here: || is_x86_feature_detected!("avx2") },
    Extension { name: "bmi2", is_compiled: sys::ggml_cpu_has_bmi2, is_here: || is_x86_feature_detected!("bmi2") },
    Extension { name: "f16c", is_compiled: sys::ggml_cpu_has_f16c, is_here: || is_x86_feature_detected!("f16c") },
    Extension { name: "fma", is_compiled: sys::ggml_cpu_has_fma, is_here: || is_x86_feature_detected!("fma") },
    Extension {
        name: "avx_vnni",
        is_compiled: sys::ggml_cpu_has_avx_vnni,
        is_here: || is_x86_feature_detected!("avxvnni"),
    },
    Extension {
        name: "avx512",
        is_compiled: sys::ggml_cpu_has_avx512,
        is_here: || {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512cd")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
        },
    },
    Extension {
        name: "avx512_vbmi",
        is_compiled: sys::ggml_cpu_has_avx512_vbmi,
        is_here: || is_x86_feature_detected!("avx512vbmi"),
    },
    Extension {
        name: "avx512_vnni",
        is_compiled: sys::ggml_cpu_has_avx512_vnni,
        is_here: || is_x86_feature_detected!("avx512vnni"),
    },
    Extension {
        name: "avx512_bf16",
        is_compiled: sys::ggml_cpu_has_avx512_bf16,
        is_here: || is_x86_feature_detected!("avx512bf16"),
    },
];

#[cfg(target_arch = "aarch64")]
const EXTENSIONS: &[Extension] = &[
    Extension { name: "neon", is_compiled: sys::ggml_cpu_has_neon, is_here: || true },
    Extension { name: "dotprod", is_compiled: sys::ggml_cpu_has_dotprod, is_here: || true },
    Extension { name: "i8mm", is_compiled: sys::ggml_cpu_has_matmul_int8, is_here: || true },
    Extension { name: "sve", is_compiled: sys::ggml_cpu_has_sve, is_here: || true },
];

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const EXTENSIONS: &[Extension] = &[];

fn is_on(flag: unsafe extern "C" fn() -> c_int) -> bool {
    #[expect(unsafe_code, reason = "llama-cpp-2 does not wrap these functions, each of which returns a constant")]
    // SAFETY: they take nothing, touch nothing and may be called at any time.
    let value = unsafe { flag() };
    value != 0
}

/// Tiles of matrices are used where the machine has them, and nothing is lost where it has not: llama.cpp looks itself.
#[cfg(target_arch = "x86_64")]
fn uses_tiles() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
    const OS_SAVES_EXTENDED_STATE: u32 = 1 << 27;
    const TILES_AND_BYTES: u32 = 1 << 24 | 1 << 25;
    const TILE_STATE: u64 = 0b11 << 17;
    #[expect(unsafe_code, reason = "the standard library does not detect AMX yet")]
    // SAFETY: every x86-64 processor has `cpuid`; `xgetbv` is only asked for where it is said to be there.
    let is_here = unsafe {
        __cpuid(1).ecx & OS_SAVES_EXTENDED_STATE != 0
            && __cpuid(0).eax >= 7
            && __cpuid_count(7, 0).edx & TILES_AND_BYTES == TILES_AND_BYTES
            && _xgetbv(0) & TILE_STATE == TILE_STATE
    };
    is_here && is_on(sys::ggml_cpu_has_amx_int8)
}

#[cfg(not(target_arch = "x86_64"))]
fn uses_tiles() -> bool {
    false
}

/// The extensions that this build of llama.cpp computes with on this machine.
pub(in crate::engine) fn used() -> Vec<&'static str> {
    let compiled = EXTENSIONS.iter().filter(|extension| is_on(extension.is_compiled));
    compiled.map(|extension| extension.name).chain(uses_tiles().then_some(TILES)).collect()
}

/// The extensions that this build of llama.cpp needs and this machine lacks.
pub(in crate::engine) fn missing() -> Vec<&'static str> {
    let lacks = |extension: &&Extension| is_on(extension.is_compiled) && !(extension.is_here)();
    EXTENSIONS.iter().filter(lacks).map(|extension| extension.name).collect()
}

/// The extensions that this machine has and this build of llama.cpp leaves aside.
pub(in crate::engine) fn unused() -> Vec<&'static str> {
    // Those of which the processor cannot be asked are taken to be there.
    let can_tell = cfg!(target_arch = "x86_64");
    let is_left = |extension: &&Extension| can_tell && !is_on(extension.is_compiled) && (extension.is_here)();
    EXTENSIONS.iter().filter(is_left).map(|extension| extension.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_run_what_was_built_on_it() {
        assert_eq!(missing(), [""; 0]);
        #[cfg(target_arch = "x86_64")]
        assert_eq!(used().contains(&"avx2"), is_x86_feature_detected!("avx2"));
    }
}
