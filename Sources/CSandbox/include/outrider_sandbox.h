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
    uint64_t processes;           ///< RLIMIT_NPROC: the most processes and threads that it and its children may add.
};

/// What may be done with a path and all that lies beneath it.
enum {
    OUTRIDER_ACCESS_READ = 1 << 0,    ///< Read files, list folders.
    OUTRIDER_ACCESS_WRITE = 1 << 1,   ///< Write to what exists; nothing can be made or removed.
    OUTRIDER_ACCESS_EXECUTE = 1 << 2, ///< Run as a program.
    OUTRIDER_ACCESS_NEEDED = 1 << 3   ///< No change of user that would lose it; see `outrider_sandbox_enter`.
};

/// One hole in the wall: a path that exists (others are passed over) and what may be done there.
struct outrider_access {
    const char *path;
    uint32_t rights;
};

/// The layers that were put in place; a missing bit means that this machine does not offer that layer.
enum {
    OUTRIDER_LAYER_LIMITS = 1 << 0,        ///< setrlimit, and no core files.
    OUTRIDER_LAYER_NO_PRIVILEGES = 1 << 1, ///< No capabilities, PR_SET_NO_NEW_PRIVS, not dumpable; root becomes nobody.
    OUTRIDER_LAYER_PARENT_DEATH = 1 << 2,  ///< The kernel kills this process when its parent thread ends.
    OUTRIDER_LAYER_SYSTEM_CALLS = 1 << 3,  ///< seccomp: no sockets, tracing, mounting, changing of modes or owners.
    OUTRIDER_LAYER_FILES = 1 << 4,         ///< landlock: nothing can be read, run or changed but what was allowed.
    OUTRIDER_LAYER_SIGNALS = 1 << 5,       ///< No signal reaches a process outside (seccomp; landlock's scope beside it).
    OUTRIDER_LAYER_PROCESSES = 1 << 6,     ///< RLIMIT_NPROC bounds the processes; it binds no root that stays root.
    OUTRIDER_LAYER_ALL = (1 << 7) - 1
};

/// Confines the calling process for good; children inherit every layer but the parent-death signal.
///
/// To be called once, early, by the main thread, before other threads start: landlock binds the calling thread and what
/// it starts, so OUTRIDER_LAYER_FILES is not reported when there are others.
///
/// A process of root becomes a user of its own, with an id that nobody else has, so that it owns no file and no process:
/// unless the capabilities for that are missing, or a path marked OUTRIDER_ACCESS_NEEDED could not be read any more.
/// Then root stays, without capabilities.
///
/// Returns the set of layers in place. Never fails as a whole: the caller decides what to do about a missing layer.
uint32_t outrider_sandbox_enter(const struct outrider_limits *limits, pid_t expected_parent,
                                const struct outrider_access *access, size_t access_count);

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

/// As `outrider_spawn` without a group of its own, for a confined process that starts a program: the program may start
/// threads but no process, signals nobody, makes no memory files, and dies with the calling thread. `program` is a path.
///
/// Returns 0, the child's id in `pid` and a descriptor of it in `handle` (closed on exec; -1 on a kernel before 5.2).
int outrider_spawn_childless(const char *program, char *const arguments[], char *const environment[], int standard_input,
                             int standard_output, int standard_error, pid_t *pid, int *handle);

/// Kills the process behind a descriptor that `outrider_spawn_childless` gave.
int outrider_kill(int handle);

/// A connected pair of stream sockets, closed on exec. `pair[0]` is for the caller, `pair[1]` for a child.
int outrider_socket_pair(int pair[2]);

/// A pipe with a buffer of `size` bytes where the system allows it, both ends closed on exec. `pair[0]` reads.
int outrider_pipe(int pair[2], int size);

/// Writes without ever raising SIGPIPE; works on sockets only. As write(2) in everything else.
ssize_t outrider_send(int descriptor, const void *bytes, size_t count);

/// As `outrider_send`; `passed`, unless it is negative, travels with the first byte.
ssize_t outrider_send_descriptor(int descriptor, const void *bytes, size_t count, int passed);

/// As read(2) on a socket. A descriptor that travelled with the bytes replaces a negative `*passed` and is closed on
/// exec; more of them, and one that comes when there is one already, are closed.
ssize_t outrider_receive_descriptor(int descriptor, void *bytes, size_t count, int *passed);

/// An unnamed file in memory, closed on exec. Returns its descriptor, or -1 with errno set.
int outrider_memory_file(const char *name);

/// Copies `count` bytes from the start of one file to the end of another, within the kernel where it can.
/// Returns 0, or an errno value; fewer bytes are no error when the file has become shorter.
int outrider_copy(int from, int to, uint64_t count);

#ifdef __cplusplus
}
#endif
#endif
