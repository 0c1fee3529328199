"""CUDA's libraries, emptied: enough of them for ONNX Runtime's CUDA provider to load a graph and choose its kernels. None runs."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from pathlib import Path

LIBRARIES = re.compile(r"\[(lib(?:cu|nv)[A-Za-z]+\.so\.\d+)\]")  # that the provider is linked against
CUDNN = "libcudnn.so.9"  # it loads this one itself
# What the provider believes while a session is made. The rest of the functions do nothing and report success.
HELD = r"""
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
static char handle[4096];
int cudaGetDeviceCount(int *n) { *n = 1; return 0; }
int cudaGetDevice(int *d) { *d = 0; return 0; }
int cudaDriverGetVersion(int *v) { *v = 13000; return 0; }
int cudaRuntimeGetVersion(int *v) { *v = 13000; return 0; }
int cudaDeviceGetAttribute(int *v, int what, int d) { *v = what == 75 ? 9 : what == 76 ? 0 : 1024; return 0; }
int cudaMemGetInfo(size_t *free, size_t *total) { *free = *total = (size_t)64 << 30; return 0; }
int cudaMalloc(void **p, size_t n) { *p = calloc(1, n ? n : 1); return 0; }
int cudaMallocHost(void **p, size_t n) { return cudaMalloc(p, n); }
int cudaHostAlloc(void **p, size_t n, unsigned f) { return cudaMalloc(p, n); }
int cudaMallocFromPoolAsync(void **p, size_t n, void *pool, void *s) { return cudaMalloc(p, n); }
int cudaFree(void *p) { free(p); return 0; }
int cudaFreeHost(void *p) { free(p); return 0; }
int cudaFreeAsync(void *p, void *s) { free(p); return 0; }
int cudaMemcpy(void *to, const void *from, size_t n, int k) { memcpy(to, from, n); return 0; }
int cudaMemcpyAsync(void *to, const void *from, size_t n, int k, void *s) { memcpy(to, from, n); return 0; }
int cudaMemset(void *p, int v, size_t n) { memset(p, v, n); return 0; }
int cudaMemsetAsync(void *p, int v, size_t n, void *s) { memset(p, v, n); return 0; }
int cudaStreamCreate(void **s) { *s = handle; return 0; }
int cudaStreamCreateWithFlags(void **s, unsigned f) { *s = handle; return 0; }
int cudaEventCreate(void **e) { *e = calloc(1, sizeof(struct timespec)); return 0; }
int cudaEventCreateWithFlags(void **e, unsigned f) { return cudaEventCreate(e); }
int cudaEventDestroy(void *e) { free(e); return 0; }
int cudaEventRecord(void *e, void *s) { return clock_gettime(CLOCK_MONOTONIC, e); }
int cudaEventElapsedTime(float *ms, struct timespec *a, struct timespec *b) {
  *ms = (b->tv_sec - a->tv_sec) * 1e3f + (b->tv_nsec - a->tv_nsec) / 1e6f;
  return 0;
}
const char *cudaGetErrorString(int e) { return "stub"; }
const char *cudaGetErrorName(int e) { return "stub"; }
void **__cudaRegisterFatBinary(void *f) { return (void **)handle; }
int cublasCreate_v2(void **h) { *h = handle; return 0; }
int cublasLtCreate(void **h) { *h = handle; return 0; }
int cudnnCreate(void **h) { *h = handle; return 0; }
size_t cudnnGetVersion(void) { return 92800; }
size_t cudnnGetCudartVersion(void) { return 13000; }
"""
DEFINED = set(re.findall(r"(\w+)\(", HELD))


def build(provider: Path, folder: Path) -> None:
    """Write every library of CUDA's that the provider needs into ``folder``.

    Args:
        provider: ONNX Runtime's ``libonnxruntime_providers_cuda.so``.
        folder: is put into LD_LIBRARY_PATH.
    """
    names = LIBRARIES.findall(_said("readelf", "-d", str(provider)))
    wanted: dict[str, set[str]] = defaultdict(set)
    for line in _said("nm", "-D", "--undefined-only", str(provider)).splitlines():
        symbol, _, version = line.split()[-1].partition("@")
        if version in names or symbol.startswith("cu"):
            wanted[version or "libcuda.so.1"].add(symbol)
    wanted[CUDNN] = {found.decode() for found in re.findall(rb"\bcudnn[A-Z][A-Za-z]+\b", provider.read_bytes())}
    for name in {*names, CUDNN}:
        library(folder, name, wanted[name])


def library(folder: Path, name: str, symbols: set[str]) -> None:
    """Write a library with these symbols: what is ``HELD``, and functions that do nothing."""
    stem = folder / name.replace(".", "_")
    body = "".join(f"int {symbol}(void) {{ return 0; }}\n" for symbol in sorted(symbols - DEFINED))
    stem.with_suffix(".c").write_text(HELD + body)
    exported = f"global: {'; '.join(sorted(symbols))}; " if symbols else ""
    stem.with_suffix(".map").write_text(f"{name} {{ {exported}local: *; }};\n")
    said = f"-Wl,-soname,{name},--version-script,{stem.with_suffix('.map')}"
    _said("gcc", "-w", "-shared", "-fPIC", said, "-o", str(folder / name), str(stem.with_suffix(".c")))


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
