#define _GNU_SOURCE
// Layers of confinement, each independent of the others:
//
//   setrlimit        bounds memory, file size, open files, processes; no core files
//   user             root becomes a user that owns nothing; no capabilities, whoever it was
//   prctl            no new privileges, not dumpable, dies with its parent thread
//   landlock         nothing can be read, run or changed but the paths that the caller names; no signals to the outside
//   seccomp-BPF      a list of system calls that a parser never needs fails with EPERM
//
//              socket(2)   open(2)   kill(2)   chmod(2)   fork(2)   ptrace(2)   malloc
//   setrlimit                                                x                     x
//   user                      x         x         x          x         x
//   landlock                  x         x
//   seccomp        x                    x         x          x         x
//
// The seccomp filter is a deny list because the process goes on to run poppler's and tesseract's programs, whose needs
// change from version to version; what it denies is what an exploit would reach for next: the network, other processes,
// other files' attributes, kernel attack surface. Those programs get a second filter, which keeps them from starting
// others. See Linux Documentation/userspace-api/seccomp_filter.rst and landlock.rst.

#include "outrider_sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUTRIDER_AUDIT_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUTRIDER_AUDIT_ARCH AUDIT_ARCH_AARCH64
#endif

// Calls that older kernel headers lack have the same numbers on every architecture since 424.
enum {
    CALL_pidfd_send_signal = 424,
    CALL_open_tree = 428,
    CALL_move_mount = 429,
    CALL_fsopen = 430,
    CALL_fsconfig = 431,
    CALL_fsmount = 432,
    CALL_fspick = 433,
    CALL_pidfd_open = 434,
    CALL_clone3 = 435,
    CALL_close_range = 436,
    CALL_pidfd_getfd = 438,
    CALL_process_madvise = 440,
    CALL_mount_setattr = 442,
    CALL_quotactl_fd = 443,
    CALL_landlock_create_ruleset = 444,
    CALL_landlock_add_rule = 445,
    CALL_landlock_restrict_self = 446,
    CALL_memfd_secret = 447,
    CALL_process_mrelease = 448,
    CALL_set_mempolicy_home_node = 450,
    CALL_fchmodat2 = 452,
    CALL_statmount = 457,
    CALL_listmount = 458,
    CALL_setxattrat = 463,
    CALL_removexattrat = 466,
    CALL_open_tree_attr = 467,
    CALL_file_setattr = 469,
};

// MARK: System calls

static const int denied_calls[] = {
    // Network.
    SYS_socket, SYS_socketpair, SYS_connect, SYS_bind, SYS_listen, SYS_accept, SYS_accept4,
    // Another way to all of the above.
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
    // Other processes. The handle of a child comes with its birth (CLONE_PIDFD), so signals by handle reach no other.
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, CALL_pidfd_getfd, CALL_pidfd_open,
    CALL_process_madvise, CALL_process_mrelease, SYS_tkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_setpriority,
    SYS_ioprio_set, SYS_migrate_pages, SYS_move_pages, CALL_set_mempolicy_home_node,
    // A process that left the group would survive its end.
    SYS_setsid, SYS_setpgid,
    // Memory and messages that outlive a process or are shared with others.
    SYS_shmget, SYS_shmat, SYS_shmctl, SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl, SYS_semget, SYS_semop, SYS_semctl,
    SYS_semtimedop, SYS_mq_open, SYS_mq_unlink, SYS_mq_timedsend, SYS_mq_timedreceive, SYS_mq_notify, SYS_mq_getsetattr,
    CALL_memfd_secret,
    // What landlock does not see: modes, owners, times and attributes of files; on older kernels truncation.
    SYS_fchmod, SYS_fchmodat, CALL_fchmodat2, SYS_fchown, SYS_fchownat, SYS_utimensat, SYS_setxattr, SYS_lsetxattr,
    SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr, CALL_setxattrat, CALL_removexattrat,
    CALL_file_setattr, SYS_truncate, SYS_inotify_init1, SYS_inotify_add_watch,
    // Mounts and name spaces.
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns, CALL_move_mount, CALL_open_tree,
    CALL_open_tree_attr, CALL_fsopen, CALL_fsconfig, CALL_fsmount, CALL_fspick, CALL_mount_setattr, CALL_statmount,
    CALL_listmount, SYS_open_by_handle_at, SYS_name_to_handle_at,
    // The kernel's own doors.
    SYS_bpf, SYS_perf_event_open, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_userfaultfd, SYS_init_module,
    SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl,
    CALL_quotactl_fd, SYS_syslog, SYS_fanotify_init, SYS_lookup_dcookie, SYS_personality,
    // The machine's settings.
    SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_sethostname, SYS_setdomainname,
#if defined(__x86_64__)
    SYS_chmod, SYS_chown, SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat, SYS_inotify_init,
    SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_kexec_file_load, SYS_uselib, SYS_ustat, SYS_sysfs,
#endif
};

// Denied unless they concern the caller itself: their first argument, a process id, is zero.
static const int own_calls[] = {
    SYS_kill, // Zero is the caller's group, which it cannot change.
    SYS_prlimit64, SYS_sched_setaffinity, SYS_sched_setparam, SYS_sched_setscheduler, SYS_sched_setattr,
};

// Denied with these second arguments: owners of signals, leases, attributes of files, keys pressed for a terminal.
static const struct {
    int call;
    uint32_t second;
} denied_requests[] = {
    {SYS_fcntl, F_SETOWN},      {SYS_fcntl, F_SETSIG},      {SYS_fcntl, 15 /* F_SETOWN_EX */},
    {SYS_fcntl, F_SETLEASE},    {SYS_fcntl, F_NOTIFY},      {SYS_ioctl, 0x8901 /* FIOSETOWN */},
    {SYS_ioctl, 0x8902 /* SIOCSPGRP */},                    {SYS_ioctl, 0x5412 /* TIOCSTI */},
    {SYS_ioctl, 0x541C /* TIOCLINUX */},                    {SYS_ioctl, 0x40086602 /* FS_IOC_SETFLAGS */},
    {SYS_ioctl, 0x401C5820 /* FS_IOC_FSSETXATTR */},
};

// Denied to the programs that a parser runs, beside all of the above.
static const int childless_calls[] = {
    SYS_kill, CALL_pidfd_send_signal, SYS_memfd_create,
#if defined(__x86_64__)
    SYS_fork, SYS_vfork,
#endif
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define NEW_NAMESPACES                                                                                                 \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

struct filter {
    struct sock_filter program[2 * COUNT(denied_calls) + 5 * (COUNT(own_calls) + 1) + 5 * COUNT(denied_requests) + 48];
    unsigned short count;
};

static void emit(struct filter *filter, uint16_t code, uint32_t value, uint8_t if_true, uint8_t if_false) {
    filter->program[filter->count++] = (struct sock_filter){.code = code, .jt = if_true, .jf = if_false, .k = value};
}
static void emit_return(struct filter *filter, uint32_t value) { emit(filter, BPF_RET | BPF_K, value, 0, 0); }
static void emit_load(struct filter *filter, uint32_t offset) { emit(filter, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0); }
static void emit_load_argument(struct filter *filter, int index) {
    // The lower half: both architectures are little-endian, and the kernel takes ids, commands and flags as 32 bits.
    emit_load(filter, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (size_t)index));
}

// Every part below begins and ends with the call's number loaded.
static void emit_start(struct filter *filter) {
#ifdef OUTRIDER_AUDIT_ARCH
    // Another architecture's calls have other numbers: end the process.
    emit_load(filter, offsetof(struct seccomp_data, arch));
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, OUTRIDER_AUDIT_ARCH, 1, 0);
    emit_return(filter, SECCOMP_RET_KILL_PROCESS);
#endif
    emit_load(filter, offsetof(struct seccomp_data, nr));
#if defined(__x86_64__)
    // The x32 interface: the same calls under other numbers.
    emit(filter, BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1);
    emit_return(filter, SECCOMP_RET_ERRNO | EPERM);
#endif
}

static void emit_denied(struct filter *filter, int call, int error) {
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1);
    emit_return(filter, SECCOMP_RET_ERRNO | (uint32_t)error);
}

// Allows `call` with `value` as its first argument, denies it with any other.
static void emit_denied_unless(struct filter *filter, int call, uint32_t value) {
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 4);
    emit_load_argument(filter, 0);
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
    emit_return(filter, SECCOMP_RET_ERRNO | EPERM);
    emit_return(filter, SECCOMP_RET_ALLOW);
}

static void emit_denied_with(struct filter *filter, int call, uint32_t second) {
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 4);
    emit_load_argument(filter, 1);
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, second, 0, 1);
    emit_return(filter, SECCOMP_RET_ERRNO | EPERM);
    emit_load(filter, offsetof(struct seccomp_data, nr));
}

// clone with (`wanted`) or without any of `flags` fails. Its flags can be seen; those of clone3 lie in memory, and
// ENOSYS makes the C library use clone instead.
static void emit_clone(struct filter *filter, uint32_t flags, int wanted, int error) {
    emit_denied(filter, CALL_clone3, ENOSYS);
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
    emit_load_argument(filter, 0);
    emit(filter, BPF_JMP | BPF_JSET | BPF_K, flags, wanted ? 0 : 1, wanted ? 1 : 0);
    emit_return(filter, SECCOMP_RET_ERRNO | (uint32_t)error);
    emit_return(filter, SECCOMP_RET_ALLOW);
}

// For the whole life of the parser and of what it runs.
static void build_filter(struct filter *filter) {
    filter->count = 0;
    emit_start(filter);
    for (size_t index = 0; index < COUNT(denied_calls); index++) emit_denied(filter, denied_calls[index], EPERM);
    for (size_t index = 0; index < COUNT(own_calls); index++) emit_denied_unless(filter, own_calls[index], 0);
    // Only to this very process: abort(3) needs it. In the programs that it runs abort ends by the trap that follows.
    emit_denied_unless(filter, SYS_tgkill, (uint32_t)getpid());
    for (size_t index = 0; index < COUNT(denied_requests); index++)
        emit_denied_with(filter, denied_requests[index].call, denied_requests[index].second);
    emit_clone(filter, NEW_NAMESPACES, 1, EPERM);
    emit_return(filter, SECCOMP_RET_ALLOW);
}

// On top of it for a program that starts no others.
static void build_childless_filter(struct filter *filter) {
    filter->count = 0;
    emit_start(filter);
    for (size_t index = 0; index < COUNT(childless_calls); index++) emit_denied(filter, childless_calls[index], EPERM);
    emit_clone(filter, CLONE_THREAD, 0, EAGAIN);
    emit_return(filter, SECCOMP_RET_ALLOW);
}

static int install_filter(void) {
#ifndef OUTRIDER_AUDIT_ARCH
    return ENOSYS;
#else
    struct filter filter;
    build_filter(&filter);
    struct sock_fprog program = {.len = filter.count, .filter = filter.program};
    // Threads that exist already are held to it too.
    long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
    return result == 0 ? 0 : result > 0 ? EBUSY : errno;
#endif
}

// MARK: Files

// The parts of <linux/landlock.h> that we use, so that older headers do.
struct landlock_ruleset {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};
struct landlock_path_beneath {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));
enum {
    LANDLOCK_EXECUTE = 1 << 0,
    LANDLOCK_WRITE_FILE = 1 << 1,
    LANDLOCK_READ_FILE = 1 << 2,
    LANDLOCK_READ_DIR = 1 << 3,
    LANDLOCK_EVERY_ACCESS = 0x1fff, // These, remove, and make: bits 0 to 12.
    LANDLOCK_REFER = 1 << 13,
    LANDLOCK_TRUNCATE = 1 << 14,
    LANDLOCK_IOCTL_DEV = 1 << 15,
    LANDLOCK_NET_BIND_AND_CONNECT = 3,
    LANDLOCK_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 3,
};

// Returns a descriptor of the rules, or -1 with errno set.
static int make_ruleset(const struct outrider_access *access, size_t access_count) {
    long version = syscall(CALL_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */);
    if (version < 0) return -1;
    struct landlock_ruleset ruleset = {.handled_access_fs = LANDLOCK_EVERY_ACCESS};
    if (version >= 2) ruleset.handled_access_fs |= LANDLOCK_REFER;
    if (version >= 3) ruleset.handled_access_fs |= LANDLOCK_TRUNCATE;
    if (version >= 4) ruleset.handled_access_net = LANDLOCK_NET_BIND_AND_CONNECT;
    if (version >= 5) ruleset.handled_access_fs |= LANDLOCK_IOCTL_DEV;
    if (version >= 6) ruleset.scoped = LANDLOCK_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS;
    int rules = (int)syscall(CALL_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
    if (rules < 0) return -1;
    for (size_t index = 0; index < access_count; index++) {
        struct landlock_path_beneath rule = {.parent_fd = open(access[index].path, O_PATH | O_CLOEXEC)};
        if (rule.parent_fd < 0) continue;
        struct stat status;
        if (fstat(rule.parent_fd, &status) == 0) {
            uint32_t rights = access[index].rights;
            if (rights & OUTRIDER_ACCESS_READ) rule.allowed_access |= LANDLOCK_READ_FILE | LANDLOCK_READ_DIR;
            if (rights & OUTRIDER_ACCESS_EXECUTE) rule.allowed_access |= LANDLOCK_EXECUTE;
            if (rights & OUTRIDER_ACCESS_WRITE) rule.allowed_access |= LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE;
            if (!S_ISDIR(status.st_mode)) rule.allowed_access &= ~(uint64_t)LANDLOCK_READ_DIR;
            rule.allowed_access &= ruleset.handled_access_fs;
            // A rule that is refused leaves less allowed.
            (void)syscall(CALL_landlock_add_rule, rules, 1 /* LANDLOCK_RULE_PATH_BENEATH */, &rule, 0);
        }
        close(rule.parent_fd);
    }
    return rules;
}

static int count_threads(void) {
    DIR *folder = opendir("/proc/self/task");
    if (!folder) return 1;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder));) count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

// MARK: Users

static int has_capabilities(uint64_t wanted) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) != 0) return 0;
    return ((data[0].effective | (uint64_t)data[1].effective << 32) & wanted) == wanted;
}

static int drop_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    return syscall(SYS_capset, &header, none) == 0 ? 0 : errno;
}

// Whether somebody else could still read all that is needed; asked as that somebody.
static int can_read_as(uid_t user, const struct outrider_access *access, size_t access_count) {
    int all = 1;
    setfsgid(user);
    setfsuid(user);
    for (size_t index = 0; index < access_count && all; index++) {
        if (!(access[index].rights & OUTRIDER_ACCESS_NEEDED)) continue;
        int descriptor = open(access[index].path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        all = descriptor >= 0 || errno == ENOENT;
        if (descriptor >= 0) close(descriptor);
    }
    setfsuid(0);
    setfsgid(0);
    return all;
}

// Makes root somebody who owns nothing. Returns 2 for a user of this process alone, 1 for one that others may be too, 0 for no change.
static int leave_root(const struct outrider_access *access, size_t access_count) {
    // The pool must be able to end us afterwards, which takes CAP_KILL in it.
    const uint64_t wanted = 1ull << CAP_SETUID | 1ull << CAP_SETGID | 1ull << CAP_KILL;
    if (getuid() != 0 || geteuid() != 0 || !has_capabilities(wanted)) return 0;
    for (int capability = 0; capability < 64; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) break;
    // Above all ranges that are given to people, services and containers; process ids end at four million.
    const uid_t own = 1900000000u + (uid_t)getpid(), nobody = 65534;
    if (setgroups(0, NULL) != 0) return 0;
    if (!can_read_as(own, access, access_count)) return 0;
    if (setresgid(own, own, own) == 0 && setresuid(own, own, own) == 0) return 2;
    // A user name space without so high an id.
    if (setresgid(nobody, nobody, nobody) == 0 && setresuid(nobody, nobody, nobody) == 0) return 1;
    return 0;
}

// How many processes and threads this user has, in all that can be seen of the machine.
static uint64_t count_own_tasks(void) {
    DIR *folder = opendir("/proc");
    if (!folder) return 0;
    uint64_t total = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        char path[64], line[256];
        snprintf(path, sizeof path, "/proc/%.20s/status", entry->d_name);
        FILE *status = fopen(path, "re");
        if (!status) continue;
        unsigned user = 0;
        unsigned long long threads = 0;
        while (fgets(line, sizeof line, status)) {
            if (sscanf(line, "Uid: %u", &user) == 1 && user != getuid()) break;
            if (sscanf(line, "Threads: %llu", &threads) == 1) break;
        }
        fclose(status);
        total += threads;
    }
    closedir(folder);
    return total;
}

// Bounds how many processes and threads this user may have. The bound counts all that the user has on this machine, also
// in other containers, where we cannot see them: so it is tried, and taken back when it already is too tight.
static int limit_processes(uint64_t more, int has_own_user) {
    struct rlimit now;
    if (more == 0 || getuid() == 0 || getrlimit(RLIMIT_NPROC, &now) != 0) return 0;
    rlim_t value = (rlim_t)(more + (has_own_user ? 1 : count_own_tasks()));
    if (value >= now.rlim_cur) return now.rlim_cur != RLIM_INFINITY;
    struct rlimit next = {.rlim_cur = value, .rlim_max = now.rlim_max};
    if (setrlimit(RLIMIT_NPROC, &next) != 0) return 0;
    pid_t child = vfork();
    if (child == 0) _exit(0);
    if (child < 0) {
        (void)setrlimit(RLIMIT_NPROC, &now);
        return 0;
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    next.rlim_max = value;
    return setrlimit(RLIMIT_NPROC, &next) == 0;
}

// MARK: Entering

static int limit(int resource, uint64_t value) {
    if (value == 0) return 0;
    struct rlimit now;
    if (getrlimit(resource, &now) != 0) return errno;
    struct rlimit next = {.rlim_cur = value, .rlim_max = value};
    if (now.rlim_max != RLIM_INFINITY && now.rlim_max < value) next.rlim_cur = next.rlim_max = now.rlim_max;
    return setrlimit(resource, &next) == 0 ? 0 : errno;
}

uint32_t outrider_sandbox_enter(const struct outrider_limits *limits, pid_t expected_parent,
                                const struct outrider_access *access, size_t access_count) {
    uint32_t layers = 0;
    struct rlimit none = {0, 0};
    int failed = setrlimit(RLIMIT_CORE, &none) != 0;
    failed |= limit(RLIMIT_AS, limits->address_space_bytes);
    failed |= limit(RLIMIT_FSIZE, limits->file_bytes);
    failed |= limit(RLIMIT_NOFILE, limits->open_files);
    if (!failed) layers |= OUTRIDER_LAYER_LIMITS;

    // While we may still open what the rules name.
    int is_alone = count_threads() == 1;
    int rules = make_ruleset(access, access_count);
    int user = leave_root(access, access_count);
    int has_lost = drop_capabilities() == 0;
    if (limit_processes(limits->processes, user == 2)) layers |= OUTRIDER_LAYER_PROCESSES;

    // After the change of user, which would undo it.
    if (expected_parent > 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0) {
        layers |= OUTRIDER_LAYER_PARENT_DEATH;
        // The parent may have died before the call above.
        if (getppid() != expected_parent) _exit(1);
    }
    // Not dumpable would also hide /proc/self/fd from programs that we start? No: exec makes them dumpable again.
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && has_lost)
        layers |= OUTRIDER_LAYER_NO_PRIVILEGES;
    if (rules >= 0) {
        if (syscall(CALL_landlock_restrict_self, rules, 0) == 0 && is_alone) layers |= OUTRIDER_LAYER_FILES;
        close(rules);
    }
    if (install_filter() == 0) layers |= OUTRIDER_LAYER_SYSTEM_CALLS;
    if (expected_parent > 0 && kill(expected_parent, 0) != 0 && errno == EPERM) layers |= OUTRIDER_LAYER_SIGNALS;
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
        struct outrider_limits limits = {.open_files = 64, .processes = 64};
        uint32_t layers = outrider_sandbox_enter(&limits, parent, NULL, 0);
        // A layer that was accepted but does nothing is worse than none: try what it forbids.
        int descriptor = socket(AF_INET, SOCK_STREAM, 0);
        if (descriptor >= 0 || errno != EPERM) layers &= ~(uint32_t)OUTRIDER_LAYER_SYSTEM_CALLS;
        if (open(P_tmpdir, O_TMPFILE | O_WRONLY, 0600) >= 0 || open("/", O_RDONLY | O_DIRECTORY) >= 0)
            layers &= ~(uint32_t)OUTRIDER_LAYER_FILES;
        if (descriptor >= 0) close(descriptor);
        _exit((int)layers);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return 0;
    return WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 0;
}

// MARK: Starting programs

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

struct start {
    const char *program;
    char *const *arguments;
    char *const *environment;
    int descriptors[3];
    struct sock_fprog filter;
    pid_t parent;
    int error;
};

// Runs in the parent's memory while the parent's thread stands still: only system calls, no allocation, no locks.
static int start_childless(void *argument) {
    struct start *start = argument;
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++) (void)sigaction(number, &standard, NULL);
    for (int target = 0; target < 3; target++)
        if (dup2(start->descriptors[target], target) < 0) goto failed;
    if (syscall(CALL_close_range, 3u, ~0u, 0u) != 0)
        for (int descriptor = 3; descriptor < 1024; descriptor++) close(descriptor);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) goto failed;
    if (getppid() != start->parent) _exit(127);
    // Refused where there are no filters at all, and in a process that was never confined.
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &start->filter, 0, 0) != 0 &&
        prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER)
        goto failed;
    sigset_t none;
    sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) != 0) goto failed;
    execve(start->program, start->arguments, start->environment);
failed:
    start->error = errno;
    _exit(127);
}

int outrider_spawn_childless(const char *program, char *const arguments[], char *const environment[], int standard_input,
                             int standard_output, int standard_error, pid_t *pid, int *handle) {
    const size_t stack_size = 64 << 10;
    char *stack = mmap(NULL, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return errno;
    struct filter filter;
    build_childless_filter(&filter);
    struct start start = {.program = program,
                          .arguments = arguments,
                          .environment = environment,
                          .descriptors = {standard_input, standard_output, standard_error},
                          .filter = {.len = filter.count, .filter = filter.program},
                          .parent = getpid()};
    // No handler of ours may run in the child, which shares our memory.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int opened = -1;
    pid_t child = clone(start_childless, stack + stack_size, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &start, &opened);
    int error = child < 0 ? errno : start.error;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    munmap(stack, stack_size);
    if (error != 0) {
        if (child > 0)
            while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
        if (opened >= 0) close(opened);
        return error;
    }
    *pid = child;
    *handle = opened;
    return 0;
}

int outrider_kill(int handle) {
    return syscall(CALL_pidfd_send_signal, handle, SIGKILL, NULL, 0) == 0 ? 0 : errno;
}

// MARK: Channels and files

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

ssize_t outrider_send_descriptor(int descriptor, const void *bytes, size_t count, int passed) {
    if (passed < 0) return outrider_send(descriptor, bytes, count);
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &passed, sizeof passed);
    return sendmsg(descriptor, &message, MSG_NOSIGNAL);
}

ssize_t outrider_receive_descriptor(int descriptor, void *bytes, size_t count, int *passed) {
    struct iovec part = {.iov_base = bytes, .iov_len = count};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    ssize_t got = recvmsg(descriptor, &message, MSG_CMSG_CLOEXEC);
    if (got < 0) return got;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t received = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t index = 0; index < received; index++) {
            int one;
            memcpy(&one, CMSG_DATA(header) + index * sizeof one, sizeof one);
            if (*passed < 0) *passed = one;
            else close(one);
        }
    }
    return got;
}

int outrider_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

int outrider_copy(int from, int to, uint64_t count) {
    off_t offset = 0;
    while ((uint64_t)offset < count) {
        uint64_t left = count - (uint64_t)offset;
        ssize_t sent = sendfile(to, from, &offset, left < 1 << 30 ? left : 1 << 30);
        if (sent > 0) continue;
        if (sent == 0) return 0;
        if (errno == EINTR) continue;
        if (errno != EINVAL && errno != ENOSYS) return errno;
        // A file system that cannot: by way of our memory.
        char bytes[1 << 16];
        ssize_t got = pread(from, bytes, left < sizeof bytes ? left : sizeof bytes, offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno;
        if (got == 0) return 0;
        for (ssize_t done = 0; done < got;) {
            ssize_t written = write(to, bytes + done, (size_t)(got - done));
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) return errno;
            done += written;
        }
        offset += got;
    }
    return 0;
}
