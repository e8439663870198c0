#define _GNU_SOURCE
// Layers of confinement, each independent of the others:
//
//   setrlimit        bounds memory, file size, open files; no core files
//   prctl            no new privileges, not dumpable, dies with its parent thread
//   seccomp-BPF      a list of system calls that a parser never needs fails with EPERM
//   landlock         the file system is read-only, except /dev
//
// The seccomp filter is a deny list because the process goes on to run poppler's and tesseract's programs, whose needs
// change from version to version; what it denies is what an exploit would reach for next: the network, other processes,
// kernel attack surface. See Linux Documentation/userspace-api/seccomp_filter.rst and landlock.rst.

#include "outrider_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUTRIDER_AUDIT_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUTRIDER_AUDIT_ARCH AUDIT_ARCH_AARCH64
#endif

// Numbers that older kernel headers lack; they are the same on every architecture.
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

static const int denied_calls[] = {
    // Network.
    SYS_socket, SYS_connect, SYS_bind, SYS_listen, SYS_accept, SYS_accept4,
    // Another way to all of the above.
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
    // Other processes.
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_pidfd_getfd, SYS_pidfd_open, SYS_pidfd_send_signal,
    // Mounts and name spaces.
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns, SYS_move_mount, SYS_open_tree, SYS_fsopen,
    SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr, SYS_open_by_handle_at, SYS_name_to_handle_at,
    // The kernel's own doors.
    SYS_bpf, SYS_perf_event_open, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_userfaultfd, SYS_init_module,
    SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl,
    SYS_syslog, SYS_fanotify_init, SYS_lookup_dcookie, SYS_personality,
    // The machine's settings.
    SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_sethostname, SYS_setdomainname,
#if defined(__x86_64__)
    SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_kexec_file_load, SYS_uselib, SYS_ustat, SYS_sysfs,
#endif
};

#define DENIED_COUNT (sizeof denied_calls / sizeof denied_calls[0])
#define NEW_NAMESPACES                                                                                                 \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

static int install_filter(void) {
#ifndef OUTRIDER_AUDIT_ARCH
    return ENOSYS;
#else
    struct sock_filter program[DENIED_COUNT * 2 + 32];
    unsigned short count = 0;
#define EMIT(instruction) program[count++] = (struct sock_filter)instruction
    // Another architecture's calls have other numbers: end the process.
    EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUTRIDER_AUDIT_ARCH, 1, 0));
    EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
#if defined(__x86_64__)
    // The x32 interface: the same calls under other numbers.
    EMIT(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1));
    EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
#endif
    for (size_t index = 0; index < DENIED_COUNT; index++) {
        EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)denied_calls[index], 0, 1));
        EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
    }
    // clone3 hides its flags in memory; ENOSYS makes the C library use clone, whose flags can be seen.
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1));
    EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4));
    EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NEW_NAMESPACES, 0, 1));
    EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
    EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    // prlimit64 on another process.
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prlimit64, 0, 3));
    EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0));
    EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
    EMIT(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
#undef EMIT
    struct sock_fprog filter = {.len = count, .filter = program};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0 ? 0 : errno;
#endif
}

// The parts of <linux/landlock.h> that we use, so that older headers do.
struct landlock_ruleset {
    uint64_t handled_access_fs;
};
struct landlock_path_beneath {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));
enum {
    LANDLOCK_WRITE_FILE = 1 << 1,
    LANDLOCK_EVERY_CHANGE = LANDLOCK_WRITE_FILE | 0x1ff << 4, // Remove and make: bits 4 to 12.
    LANDLOCK_REFER = 1 << 13,
    LANDLOCK_TRUNCATE = 1 << 14,
};

static int install_landlock(void) {
    struct landlock_ruleset ruleset = {.handled_access_fs = LANDLOCK_EVERY_CHANGE};
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */);
    if (version < 0) return errno;
    if (version >= 2) ruleset.handled_access_fs |= LANDLOCK_REFER;
    if (version >= 3) ruleset.handled_access_fs |= LANDLOCK_TRUNCATE;
    int descriptor = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
    if (descriptor < 0) return errno;
    int result = 0;
    int devices = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (devices >= 0) {
        struct landlock_path_beneath rule = {.allowed_access = LANDLOCK_WRITE_FILE, .parent_fd = devices};
        if (version >= 3) rule.allowed_access |= LANDLOCK_TRUNCATE;
        if (syscall(SYS_landlock_add_rule, descriptor, 1, &rule, 0) != 0) result = errno;
        close(devices);
    }
    if (result == 0 && syscall(SYS_landlock_restrict_self, descriptor, 0) != 0) result = errno;
    close(descriptor);
    return result;
}

static int limit(int resource, uint64_t value) {
    if (value == 0) return 0;
    struct rlimit now;
    if (getrlimit(resource, &now) != 0) return errno;
    struct rlimit next = {.rlim_cur = value, .rlim_max = value};
    if (now.rlim_max != RLIM_INFINITY && now.rlim_max < value) next.rlim_cur = next.rlim_max = now.rlim_max;
    return setrlimit(resource, &next) == 0 ? 0 : errno;
}

uint32_t outrider_sandbox_enter(const struct outrider_limits *limits, pid_t expected_parent) {
    uint32_t layers = 0;
    struct rlimit none = {0, 0};
    int failed = setrlimit(RLIMIT_CORE, &none) != 0;
    failed |= limit(RLIMIT_AS, limits->address_space_bytes);
    failed |= limit(RLIMIT_FSIZE, limits->file_bytes);
    failed |= limit(RLIMIT_NOFILE, limits->open_files);
    if (!failed) layers |= OUTRIDER_LAYER_LIMITS;

    if (expected_parent > 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0) {
        layers |= OUTRIDER_LAYER_PARENT_DEATH;
        // The parent may have died before the call above.
        if (getppid() != expected_parent) _exit(1);
    }
    // Not dumpable would also hide /proc/self/fd from programs that we start? No: exec makes them dumpable again.
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
        layers |= OUTRIDER_LAYER_NO_PRIVILEGES;
    if (install_landlock() == 0) layers |= OUTRIDER_LAYER_FILES;
    if (install_filter() == 0) layers |= OUTRIDER_LAYER_SYSTEM_CALLS;
    return layers;
}

int outrider_sandbox_allow_cpu(uint64_t seconds) {
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) != 0) return errno;
    struct rlimit now;
    if (getrlimit(RLIMIT_CPU, &now) != 0) return errno;
    rlim_t soft = (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + seconds + 2;
    if (now.rlim_max != RLIM_INFINITY && soft > now.rlim_max) soft = now.rlim_max;
    now.rlim_cur = soft;
    return setrlimit(RLIMIT_CPU, &now) == 0 ? 0 : errno;
}

uint32_t outrider_sandbox_probe(void) {
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0) return 0;
    if (child == 0) {
        struct outrider_limits limits = {.open_files = 64};
        uint32_t layers = outrider_sandbox_enter(&limits, parent);
        // A layer that was accepted but does nothing is worse than none: try what it forbids.
        int descriptor = socket(AF_INET, SOCK_STREAM, 0);
        if (descriptor >= 0 || errno != EPERM) layers &= ~(uint32_t)OUTRIDER_LAYER_SYSTEM_CALLS;
        if (open(P_tmpdir, O_TMPFILE | O_WRONLY, 0600) >= 0) layers &= ~(uint32_t)OUTRIDER_LAYER_FILES;
        if (descriptor >= 0) close(descriptor);
        _exit((int)layers);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return 0;
    return WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 0;
}

int outrider_spawn(const char *program, char *const arguments[], char *const environment[], int standard_input,
                   int standard_output, int standard_error, int own_group, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int result = posix_spawn_file_actions_init(&actions);
    if (result != 0) return result;
    result = posix_spawnattr_init(&attributes);
    if (result != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return result;
    }
    // A source that lies in 0...2 could be overwritten before its turn; callers' descriptors come from a process whose
    // standard descriptors are open, so they are above 2, except one that passes on as itself.
    const int sources[3] = {standard_input, standard_output, standard_error};
    for (int target = 0; target < 3 && result == 0; target++)
        result = posix_spawn_file_actions_adddup2(&actions, sources[target], target);
    if (result == 0) result = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    if (own_group) {
        flags |= POSIX_SPAWN_SETPGROUP;
        if (result == 0) result = posix_spawnattr_setpgroup(&attributes, 0);
    }
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    if (result == 0) result = posix_spawnattr_setsigdefault(&attributes, &all);
    if (result == 0) result = posix_spawnattr_setsigmask(&attributes, &none);
    if (result == 0) result = posix_spawnattr_setflags(&attributes, flags);
    if (result == 0) {
        result = strchr(program, '/') ? posix_spawn(pid, program, &actions, &attributes, arguments, environment)
                                      : posix_spawnp(pid, program, &actions, &attributes, arguments, environment);
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return result;
}

int outrider_socket_pair(int pair[2]) {
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 ? 0 : errno;
}

int outrider_pipe(int pair[2], int size) {
    if (pipe2(pair, O_CLOEXEC) != 0) return errno;
    (void)fcntl(pair[1], F_SETPIPE_SZ, size);
    return 0;
}

ssize_t outrider_send(int descriptor, const void *bytes, size_t count) {
    return send(descriptor, bytes, count, MSG_NOSIGNAL);
}

int outrider_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }
