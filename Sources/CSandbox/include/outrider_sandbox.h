// Confinement and spawning of child processes that read untrusted files.
//
// All functions are thread-safe unless they say otherwise, allocate nothing that the caller must free, and report
// through return values: 0 for success, otherwise an errno value, or a bit set where that is said.

#ifndef OUTRIDER_SANDBOX_H
#define OUTRIDER_SANDBOX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What a process wants to be held to. A zero leaves that limit as it is.
struct outrider_limits {
    uint64_t address_space_bytes; ///< RLIMIT_AS: the most virtual memory of the process, and of each child of it.
    uint64_t file_bytes;          ///< RLIMIT_FSIZE: the largest file that it may write.
    uint64_t open_files;          ///< RLIMIT_NOFILE.
};

/// The layers that were put in place; a missing bit means that this machine does not offer that layer.
enum {
    OUTRIDER_LAYER_LIMITS = 1 << 0,       ///< setrlimit, and no core files.
    OUTRIDER_LAYER_NO_PRIVILEGES = 1 << 1, ///< PR_SET_NO_NEW_PRIVS and not dumpable.
    OUTRIDER_LAYER_PARENT_DEATH = 1 << 2, ///< The kernel kills this process when its parent thread ends.
    OUTRIDER_LAYER_SYSTEM_CALLS = 1 << 3, ///< seccomp: no sockets, no tracing, no mounting, no loading of kernel code.
    OUTRIDER_LAYER_FILES = 1 << 4,        ///< landlock: no file can be made, changed or removed, except under /dev.
    OUTRIDER_LAYER_ALL = (1 << 5) - 1
};

/// Confines the calling process for good; children inherit every layer but the parent-death signal.
///
/// To be called once, early, by the main thread, before other threads start.
/// Returns the set of layers in place. Never fails as a whole: the caller decides what to do about a missing layer.
uint32_t outrider_sandbox_enter(const struct outrider_limits *limits, pid_t expected_parent);

/// Lets the calling process use `seconds` more of CPU time from now; past them the kernel ends it (SIGXCPU).
int outrider_sandbox_allow_cpu(uint64_t seconds);

/// The layers that work here, found out by confining a child and trying in it what they forbid. Costs one fork.
uint32_t outrider_sandbox_probe(void);

/// Starts a program with only the descriptors 0, 1 and 2 open and all signals at default.
///
/// `program` is a path, or a name to be searched for in PATH when it holds no slash. `standard_input` and the others are
/// descriptors of the caller, which keeps them. With `own_group` the child leads a new process group, otherwise it stays
/// in the caller's.
/// Returns 0 and the child's id in `pid`, or an errno value.
int outrider_spawn(const char *program, char *const arguments[], char *const environment[], int standard_input,
                   int standard_output, int standard_error, int own_group, pid_t *pid);

/// A connected pair of stream sockets, closed on exec. `pair[0]` is for the caller, `pair[1]` for a child.
int outrider_socket_pair(int pair[2]);

/// A pipe with a buffer of `size` bytes where the system allows it, both ends closed on exec. `pair[0]` reads.
int outrider_pipe(int pair[2], int size);

/// Writes without ever raising SIGPIPE; works on sockets only. As write(2) in everything else.
ssize_t outrider_send(int descriptor, const void *bytes, size_t count);

/// An unnamed file in memory, closed on exec. Returns its descriptor, or -1 with errno set.
int outrider_memory_file(const char *name);

#ifdef __cplusplus
}
#endif
#endif
