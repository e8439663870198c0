import CSandbox
import Foundation
import Testing

@testable import Parsing

/// What a parser that a file has taken over can still do: a program in the place of pdftotext tries it, once free and once confined.
///
/// The free run shows that each attempt would succeed, so that its failure in the confinement proves something.
@Suite(
    .serialized,
    .enabled(if: FileManager.default.isExecutableFile(atPath: Support.executable), "the outrider program was not built beside the tests"),
    .enabled(if: ProbeFolder.compiler != nil, "there is no C compiler to make the probe with"))
struct ConfinementTests {
    /// Who serves and parses.
    enum Identity: String, CaseIterable, CustomTestStringConvertible {
        /// The tests' user; root's parser becomes a user of its own.
        case own
        /// Root, which stays root because a needed file is readable by root only.
        case remainingRoot
        /// An ordinary user on a machine where the tests are root.
        case nobody
        var testDescription: String { rawValue }

        var isPossible: Bool { self == .own || getuid() == 0 && (self != .nobody || ProbeFolder.canBeNobody) }
    }

    /// Allowed to a parser; all else that the probe tries is not.
    static let harmless: Set<String> = ["document", "document-again", "fonts", "libraries", "null", "random", "thread"]
    /// Depends on the file system or on the kernel's configuration, also for a free process.
    static let uncertain: Set<String> = ["setxattr", "mq-open", "io-uring", "userfaultfd", "ptrace", "lease", "pidfd-signal"]

    @Test(arguments: Identity.allCases.filter(\.isPossible))
    func `a parser that is taken over reads, changes and disturbs nothing outside`(identity: Identity) async throws {
        let folder = try ProbeFolder(identity)
        defer { folder.remove() }
        let free = try folder.runFree()
        let confined = try await folder.runConfined()
        #expect(free.count >= 40, "the probe did not get through: \(free)")
        var uncertain = Self.uncertain
        // The free probe's parent is the test, which is root.
        if identity == .nobody { uncertain.insert("kill-parent") }
        for (attempt, wasAllowed) in free.sorted(by: { $0.key < $1.key }) {
            if !uncertain.contains(attempt) { #expect(wasAllowed, "free, \(attempt) should succeed") }
            let isAllowed = confined[attempt]
            #expect(
                isAllowed == Self.harmless.contains(attempt),
                "confined, \(attempt) is \(isAllowed.map { $0 ? "allowed" : "denied" } ?? "missing")")
        }
        #expect(Set(confined.keys) == Set(free.keys))
    }

    @Test func `the attempts as an ordinary user were made`() {
        guard getuid() == 0, !ProbeFolder.canBeNobody else { return }
        print("not tried as an ordinary user: setpriv is missing, or nobody cannot start \(Support.executable)")
    }

    @Test func `every thread of a parser is filtered, has no capability and may not become many`() async throws {
        let pool = ParserPool(executable: Support.executable, workerCount: 1, limits: .init())
        let path = try Support.temporaryFile(Array("text".utf8), name: "a.txt")
        defer { try? FileManager.default.removeItem(atPath: path) }
        _ = try await pool.parse(path: path, name: "a.txt")
        let process = try #require(await pool.processIDs.first)
        let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task")
        #expect(threads.count >= 2)
        for thread in threads {
            let status = try String(contentsOfFile: "/proc/\(process)/task/\(thread)/status", encoding: .utf8)
            func field(_ name: String) -> [Substring] {
                status.split(separator: "\n").first { $0.hasPrefix(name + ":") }?.split(whereSeparator: { $0 == "\t" || $0 == " " })
                    .dropFirst()
                    .map { $0 } ?? []
            }
            #expect(field("Seccomp") == ["2"] && field("NoNewPrivs") == ["1"])
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] { #expect(field(set) == ["0000000000000000"], "\(set)") }
            if getuid() == 0 {
                #expect(field("Uid").count == 4 && !field("Uid").contains("0") && !field("Gid").contains("0") && field("Groups").isEmpty)
            }
        }
        if outrider_sandbox_probe() & UInt32(OUTRIDER_LAYER_PROCESSES) != 0 {
            let limits = try String(contentsOfFile: "/proc/\(process)/limits", encoding: .utf8)
            let line = try #require(limits.split(separator: "\n").first { $0.hasPrefix("Max processes") })
            #expect(!line.contains("unlimited"))
            // A user of its own has what it needs and little more.
            if getuid() == 0 { #expect(line.split(separator: " ").dropFirst(2).prefix(2).allSatisfy { Int($0)! <= 256 }, "\(line)") }
        }
        await pool.shutdown()
    }

    @Test func `every layer is there before the first other thread`() async throws {
        guard outrider_sandbox_probe() == UInt32(OUTRIDER_LAYER_ALL) else { return }
        // The layer is reported only when the process had one thread, which a program started by the pool must have.
        let path = try Support.temporaryFile(Array("text".utf8), name: "a.txt")
        defer { try? FileManager.default.removeItem(atPath: path) }
        var limits = ParseLimits()
        limits.isOCREnabled = false
        let pool = ParserPool(executable: Support.executable, limits: limits, environment: [ParseWorker.strictVariable: "1"])
        #expect(try await pool.parse(path: path, name: "a.txt").text == "text")
        await pool.shutdown()
    }

    @Test func `a program that aborts, waits for ever or writes for ever ends`() async throws {
        let path = try Support.temporaryFile(Array("%PDF-1.4\n%%EOF\n".utf8), name: "a.pdf")
        defer { try? FileManager.default.removeItem(atPath: path) }
        for (body, seconds) in [("abort();", 20.0), ("for (;;) pause();", 2), ("for (;;) puts(\"<word>\");", 2), ("for (;;) ;", 2)] {
            let folder = try ProbeFolder(.own, body: body)
            defer { folder.remove() }
            var limits = ParseLimits()
            limits.seconds = seconds
            let pool = folder.pool(limits)
            let start = ContinuousClock.now
            await #expect(throws: Refusal.self, "\(body)") { try await pool.parse(path: path, name: "a.pdf") }
            #expect(ContinuousClock.now - start < .seconds(seconds < 10 ? seconds + 3 : 10), "\(body)")
            await pool.shutdown()
            #expect(folder.runningCount() == 0, "\(body) left a process")
        }
    }

    @Test func `a script in a program's place runs the program that it ends with`() async throws {
        guard Support.hasPoppler, let real = ToolRunner.find("pdftotext") else { return }
        let folder = try ProbeFolder(.own, script: "#!/bin/sh\nexec \(real) \"$@\"\n")
        defer { folder.remove() }
        var page = PDFBuilder.Page()
        page.text(72, 700, "Through a script of two lines")
        let path = try Support.temporaryFile(PDFBuilder(pages: [page]).bytes(), name: "a.pdf")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let pool = folder.pool()
        #expect(try await pool.parse(path: path, name: "a.pdf").text.contains("Through a script"))
        await pool.shutdown()
    }

    @Test func `a program that is installed while the pool serves is found, and one that is replaced`() async throws {
        guard Support.hasPoppler, let real = ToolRunner.find("pdftotext") else { return }
        let folder = try ProbeFolder(.own, script: nil)
        defer { folder.remove() }
        var page = PDFBuilder.Page()
        page.text(72, 700, "Installed just now, they say")
        let path = try Support.temporaryFile(PDFBuilder(pages: [page]).bytes(), name: "a.pdf")
        let text = try Support.temporaryFile(Array("text".utf8), name: "a.txt")
        defer { for file in [path, text] { try? FileManager.default.removeItem(atPath: file) } }
        let pool = folder.pool(path: folder.path)
        _ = try await pool.parse(path: text, name: "a.txt")
        let first = await pool.processIDs
        await #expect { try await pool.parse(path: path, name: "a.pdf") } throws: {
            if case .unavailable = $0 as? Refusal { true } else { false }
        }
        for _ in 0..<2 {
            try? FileManager.default.removeItem(atPath: folder.program)
            try FileManager.default.copyItem(atPath: real, toPath: folder.program)
            chmod(folder.program, 0o755)
            #expect(try await pool.parse(path: path, name: "a.pdf").text.contains("Installed just now"))
            // Takes the place of an idle child that knows the old file.
            _ = try await pool.parse(path: text, name: "a.txt")
        }
        #expect(await pool.processIDs != first)
        await pool.shutdown()
    }

    @Test func `a document that only the server may read is read, wherever it lies`() async throws {
        let folder = try ProbeFolder(.own, script: nil)
        defer { folder.remove() }
        let pool = ParserPool(executable: Support.executable, workerCount: 1, limits: .init())
        var page = PDFBuilder.Page()
        page.text(72, 700, "Private words of the board")
        let pdf = PDFBuilder(pages: [page]).bytes()
        for (name, bytes) in [
            ("a.txt", Array("Private words of the board".utf8)), ("a.pdf", pdf),
            ("a.zip", Support.zip([("b.pdf", pdf), ("c.txt", Array("and others".utf8))])),
        ] where Support.hasPoppler || name == "a.txt" {
            let path = folder.path + "/" + name
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            chmod(path, 0o600)
            #expect(try await pool.parse(path: path, name: name).text.contains("Private words"), "\(name)")
        }
        await pool.shutdown()
    }

    @Test(.enabled(if: Support.hasOCR, "tesseract is not installed"))
    func `scans, pictures and old office files read the same confined as free`() async throws {
        guard let shared = Support.shared else { return }
        let pool = ParserPool(executable: Support.executable, workerCount: 1, limits: .init())
        let root = shared + "/documents/files/"
        for name in ["pdf-scanned-image", "doc", "pdf-scripts-layout"] {
            let files = try FileManager.default.contentsOfDirectory(atPath: root + name).sorted().prefix(2)
            for file in files {
                let path = root + name + "/" + file
                let free = Result { () throws(Refusal) in
                    try ParseWorker.parseInProcess(path: path, name: file, mimeType: nil, limits: .init())
                }
                let confined = await Result { () async throws(Refusal) in try await pool.parse(path: path, name: file) }
                switch (free, confined) {
                case (.success(let one), .success(let two)): #expect(one.text == two.text && one.warnings == two.warnings, "\(file)")
                case (.failure(let one), .failure(let two)): #expect(one == two, "\(file)")
                default: Issue.record("\(file): free \(free), confined \(confined)")
                }
            }
        }
        await pool.shutdown()
    }

    @Test func `rules name the program, its loader and its libraries, and no home`() throws {
        let rules = Confinement.rules()
        let home = getenv("HOME").map { String(cString: $0) } ?? "/root"
        for path in ["/", "/etc", "/home", "/proc", "/proc/self", "/tmp", "/usr", "/var", "/dev", home] {
            #expect(!rules.contains { $0.path == path }, "\(path) is open")
        }
        #expect(rules.filter { $0.rights & UInt32(OUTRIDER_ACCESS_WRITE) != 0 }.map(\.path) == ["/dev/null"])
        let shell = Confinement.rules(forProgram: "/bin/sh").filter { $0.rights & UInt32(OUTRIDER_ACCESS_EXECUTE) != 0 }
        #expect(shell.count >= 1 && shell.count <= 2)
        // Bytes that end anywhere are no program.
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: "/bin/sh")).prefix(2000))
        for count in stride(from: 0, to: 1200, by: 7) {
            let path = try Support.temporaryFile(Array(bytes.prefix(count)), name: "cut")
            _ = Confinement.interpreter(of: path)
            try FileManager.default.removeItem(atPath: path)
        }
        let script = try Support.temporaryFile(Array("#! /usr/bin/env python3\n".utf8), name: "script")
        defer { try? FileManager.default.removeItem(atPath: script) }
        #expect(try #require(Confinement.interpreter(of: script)) == ("/usr/bin/env", true))
    }
}

extension Result where Failure == Refusal {
    init(_ body: () throws(Refusal) -> Success) {
        do { self = .success(try body()) } catch { self = .failure(error) }
    }
}

/// A folder that holds a program in the place of pdftotext, a secret, and a process to be disturbed.
private final class ProbeFolder {
    static let compiler: String? = ["cc", "clang", "gcc"].lazy.compactMap { ToolRunner.find($0) }.first
    private static let nobody: UInt32 = 65534

    /// Whether this machine lets us start the program as nobody.
    static let canBeNobody: Bool = {
        guard ToolRunner.find("setpriv") != nil else { return false }
        // Without a channel it ends at once, but it must load.
        return (try? run(asNobody([Support.executable, "parse-worker"])))?.status == 0
    }()

    private static func asNobody(_ command: [String]) -> [String] {
        [ToolRunner.find("setpriv")!, "--reuid", "\(nobody)", "--regid", "\(nobody)", "--clear-groups"] + command
    }

    /// Starts a program with empty or given input and returns its id.
    private static func start(_ command: [String], input: String = "/dev/null", output: Int32, environment: [String] = []) throws -> pid_t {
        let descriptor = open(input, O_RDONLY | O_CLOEXEC)
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        defer {
            close(descriptor)
            close(null)
        }
        let variables = ["PATH=" + (getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin")] + environment
        var process: pid_t = 0
        let result = withCStrings(command) { arguments in
            withCStrings(variables) { environment in
                outrider_spawn(command[0], arguments, environment, descriptor, output < 0 ? null : output, null, 1, &process)
            }
        }
        try #require(result == 0, "\(command) does not start: \(result)")
        return process
    }

    /// Runs a program to its end.
    private static func run(_ command: [String], input: String = "/dev/null") throws -> (status: Int32, output: String) {
        let file = outrider_memory_file("output")
        defer { close(file) }
        let process = try start(command, input: input, output: file)
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = pread(file, &bytes, bytes.count, 0)
        return (status, String(decoding: bytes[..<max(0, count)], as: UTF8.self))
    }

    let path: String
    let identity: ConfinementTests.Identity
    var program: String { path + "/bin/pdftotext" }
    private var victim: pid_t = 0

    /// With the probe that tries everything.
    convenience init(_ identity: ConfinementTests.Identity) throws {
        try self.init(identity, script: nil)
        let command = identity == .nobody ? Self.asNobody(["/bin/sleep", "600"]) : ["/bin/sleep", "600"]
        victim = try Self.start(command, output: -1, environment: ["OUTRIDER_API_KEY=a key that nobody may see"])
        let secret = path + "/secret"
        try Data("a secret".utf8).write(to: URL(fileURLWithPath: secret))
        chmod(secret, 0o600)
        if identity == .nobody { chown(secret, Self.nobody, Self.nobody) }
        try compile(
            Self.probe.replacing("SECRET_PATH", with: "\"\(secret)\"").replacing("FOLDER_PATH", with: "\"\(path)\"")
                .replacing("VICTIM_PROCESS", with: "\(victim)"))
        // One that others cannot read keeps root from leaving.
        if identity == .remainingRoot { chmod(program, 0o700) }
        // The probe's victim must have become what it is.
        for _ in 0..<100 where (try? String(contentsOfFile: "/proc/\(victim)/comm", encoding: .utf8)) != "sleep\n" {
            usleep(20_000)
        }
    }

    /// With a program of a few words.
    convenience init(_ identity: ConfinementTests.Identity, body: String) throws {
        try self.init(identity, script: nil)
        try compile("#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\nint main(void) { \(body) return 0; }\n")
    }

    init(_ identity: ConfinementTests.Identity, script: String?) throws {
        self.identity = identity
        path = FileManager.default.temporaryDirectory.path + "/outrider-probe-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path + "/bin", withIntermediateDirectories: true)
        chmod(path, 0o755)
        if identity == .nobody { chown(path, Self.nobody, Self.nobody) }
        if let script {
            try Data(script.utf8).write(to: URL(fileURLWithPath: program))
            chmod(program, 0o755)
        }
    }

    func remove() {
        if victim > 0 {
            kill(victim, SIGKILL)
            while waitpid(victim, nil, 0) < 0, errno == EINTR {}
        }
        try? FileManager.default.removeItem(atPath: path)
    }

    private func compile(_ source: String) throws {
        let file = path + "/probe.c"
        try Data(source.utf8).write(to: URL(fileURLWithPath: file))
        let result = try Self.run([Self.compiler!, "-std=gnu11", "-w", "-pthread", "-o", program, file])
        try #require(result.status == 0, "the probe does not compile")
        chmod(program, 0o755)
    }

    /// A pool whose children find our program before the others, or only what is in `path`.
    func pool(_ limits: ParseLimits = .init(), path tools: String? = nil) -> ParserPool {
        var executable = Support.executable
        if identity == .nobody {
            executable = path + "/worker"
            let script =
                "#!/bin/sh\nexec setpriv --reuid \(Self.nobody) --regid \(Self.nobody) --clear-groups \(Support.executable) \"$@\"\n"
            try? Data(script.utf8).write(to: URL(fileURLWithPath: executable))
            chmod(executable, 0o755)
        }
        let others = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        return ParserPool(
            executable: executable, limits: limits, environment: ["PATH": path + "/bin" + (tools == nil ? ":" + others : "")])
    }

    /// The attempts and whether they succeeded, by a process that nothing confines.
    func runFree() throws -> [String: Bool] {
        let document = try Support.temporaryFile(Array("%PDF-1.4\n%%EOF\n".utf8), name: "a.pdf")
        defer { try? FileManager.default.removeItem(atPath: document) }
        return outcomes(try Self.run(identity == .nobody ? Self.asNobody([program]) : [program], input: document).output)
    }

    /// The same as a parser's program.
    func runConfined() async throws -> [String: Bool] {
        var limits = ParseLimits()
        limits.isOCREnabled = false
        limits.seconds = 30
        let pool = pool(limits)
        let document = try Support.temporaryFile(Array("%PDF-1.4\n%%EOF\n".utf8), name: "a.pdf")
        defer { try? FileManager.default.removeItem(atPath: document) }
        let text = try await pool.parse(path: document, name: "a.pdf").text
        await pool.shutdown()
        return outcomes(text)
    }

    /// Words such as `kill=denied`.
    private func outcomes(_ text: String) -> [String: Bool] {
        var outcomes: [String: Bool] = [:]
        for match in text.matches(of: /([a-z0-9-]+)=(allowed|denied)/) { outcomes[String(match.1)] = match.2 == "allowed" }
        return outcomes
    }

    /// Processes of this folder's program that are still there.
    func runningCount() -> Int {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc").filter { Int($0) != nil }) ?? []
        return processes.count { (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\($0)/exe")) == program }
    }

    private static let probe = #"""
        #define _GNU_SOURCE
        #include <dirent.h>
        #include <errno.h>
        #include <fcntl.h>
        #include <pthread.h>
        #include <sched.h>
        #include <signal.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/ipc.h>
        #include <sys/mman.h>
        #include <sys/ptrace.h>
        #include <sys/resource.h>
        #include <sys/shm.h>
        #include <sys/socket.h>
        #include <sys/stat.h>
        #include <sys/syscall.h>
        #include <sys/time.h>
        #include <sys/wait.h>
        #include <sys/xattr.h>
        #include <unistd.h>
        #include <utime.h>

        static int row = 20;
        static void say(const char *name, int allowed) {
            printf("<block>\n<line>\n<word xMin=\"72\" yMin=\"%d\" xMax=\"300\" yMax=\"%d\">%s=%s</word>\n</line>\n</block>\n", row,
                   row + 10, name, allowed ? "allowed" : "denied");
            row += 14;
        }
        static int opens(const char *path, int flags) {
            int descriptor = open(path, flags | O_CLOEXEC, 0600);
            if (descriptor >= 0) close(descriptor);
            return descriptor >= 0;
        }
        static int reads(const char *path) {
            char byte;
            int descriptor = open(path, O_RDONLY | O_CLOEXEC);
            if (descriptor < 0) return 0;
            int count = read(descriptor, &byte, 1);
            close(descriptor);
            return count == 1;
        }
        static int lists(const char *path) {
            DIR *folder = opendir(path);
            if (folder) closedir(folder);
            return folder != NULL;
        }
        static void *nothing(void *argument) { return argument; }

        int main(void) {
            char path[4096], byte;
            printf("<page width=\"612\" height=\"2000\">\n<flow>\n");
            // What it is here for.
            say("document", read(0, &byte, 1) == 1 && byte == '%');
            say("document-again", reads("/proc/self/fd/0"));
            say("fonts", lists("/usr/share"));
            say("libraries", reads("/etc/ld.so.cache"));
            say("null", opens("/dev/null", O_RDWR));
            say("random", reads("/dev/urandom"));
            pthread_t thread;
            int started = pthread_create(&thread, NULL, nothing, NULL) == 0;
            if (started) pthread_join(thread, NULL);
            say("thread", started);
            // Reading.
            say("read-secret", reads(SECRET_PATH));
            say("list-folder", lists(FOLDER_PATH));
            say("list-root", lists("/"));
            say("read-passwd", reads("/etc/passwd"));
            snprintf(path, sizeof path, "/proc/%d/environ", VICTIM_PROCESS);
            say("read-environment", reads(path));
            snprintf(path, sizeof path, "/proc/%d/cmdline", VICTIM_PROCESS);
            say("read-command", reads(path));
            say("read-own-maps", reads("/proc/self/maps"));
            say("list-processes", lists("/proc"));
            say("read-document-folder", lists("/tmp"));
            // Changing.
            say("write", opens(SECRET_PATH, O_WRONLY));
            say("create", opens(FOLDER_PATH "/made", O_WRONLY | O_CREAT));
            say("create-shared-memory", opens("/dev/shm/outrider-probe", O_RDWR | O_CREAT));
            unlink("/dev/shm/outrider-probe");
            say("truncate", truncate(SECRET_PATH, 8) == 0);
            say("link", link(SECRET_PATH, FOLDER_PATH "/linked") == 0);
            say("mkdir", mkdir(FOLDER_PATH "/folder", 0700) == 0);
            say("chmod", chmod(SECRET_PATH, 0640) == 0);
            say("fchmodat", fchmodat(AT_FDCWD, SECRET_PATH, 0600, 0) == 0);
            say("chown", chown(SECRET_PATH, getuid(), getgid()) == 0);
            say("fchownat", fchownat(AT_FDCWD, SECRET_PATH, getuid(), getgid(), 0) == 0);
            say("utime", utime(SECRET_PATH, NULL) == 0);
            say("utimensat", utimensat(AT_FDCWD, SECRET_PATH, NULL, 0) == 0);
            say("setxattr", setxattr(SECRET_PATH, "user.outrider", "x", 1, 0) == 0);
            // Other processes.
            say("kill", kill(VICTIM_PROCESS, 0) == 0);
            say("kill-parent", kill(getppid(), 0) == 0);
            say("kill-group", kill(0, 0) == 0);
            say("tgkill", syscall(SYS_tgkill, VICTIM_PROCESS, VICTIM_PROCESS, 0) == 0);
            say("tkill", syscall(SYS_tkill, VICTIM_PROCESS, 0) == 0);
            siginfo_t information = {.si_code = -1};
            say("sigqueue", syscall(SYS_rt_sigqueueinfo, VICTIM_PROCESS, 0, &information) == 0);
            int handle = syscall(434, VICTIM_PROCESS, 0);
            say("pidfd-open", handle >= 0);
            snprintf(path, sizeof path, "/proc/%d", VICTIM_PROCESS);
            handle = open(path, O_RDONLY | O_DIRECTORY);
            say("pidfd-signal", handle >= 0 && syscall(424, handle, 0, NULL, 0) == 0);
            int ends[2];
            pipe(ends);
            say("signal-owner", fcntl(ends[0], F_SETOWN, VICTIM_PROCESS) == 0);
            fcntl(ends[0], F_SETOWN, 0);
            cpu_set_t processors;
            sched_getaffinity(VICTIM_PROCESS, sizeof processors, &processors);
            say("affinity", sched_setaffinity(VICTIM_PROCESS, sizeof processors, &processors) == 0);
            struct sched_param parameter = {0};
            say("scheduler", sched_setscheduler(VICTIM_PROCESS, SCHED_BATCH, &parameter) == 0);
            say("priority", setpriority(PRIO_PROCESS, VICTIM_PROCESS, 5) == 0);
            struct rlimit limit;
            say("limits", prlimit(VICTIM_PROCESS, RLIMIT_NOFILE, NULL, &limit) == 0);
            int traced = ptrace(PTRACE_SEIZE, VICTIM_PROCESS, 0, 0) == 0;
            say("ptrace", traced);
            // It is let go when the probe ends.
            // Talking.
            say("socket", socket(AF_INET, SOCK_STREAM, 0) >= 0);
            say("socket-unix", socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
            say("socket-pair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
            int shared = shmget(IPC_PRIVATE, 4096, 0600);
            say("shared-memory", shared >= 0);
            if (shared >= 0) shmctl(shared, IPC_RMID, NULL);
            say("mq-open", syscall(SYS_mq_open, "outrider-probe", O_CREAT | O_RDWR, 0600, NULL) >= 0);
            syscall(SYS_mq_unlink, "outrider-probe");
            say("memory-file", memfd_create("probe", 0) >= 0);
            char parameters[256] = {0};
            say("io-uring", syscall(425, 1, parameters) >= 0);
            say("userfaultfd", syscall(SYS_userfaultfd, 1) >= 0);
            // Becoming many.
            int children = 0;
            pid_t made[40];
            for (int index = 0; index < 40; index++) {
                pid_t child = fork();
                if (child == 0) {
                    pause();
                    _exit(0);
                }
                if (child > 0) made[children++] = child;
            }
            say("fork", children > 0);
            for (int index = 0; index < children; index++) {
                kill(made[index], SIGKILL);
                waitpid(made[index], NULL, 0);
            }
            pid_t child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
            if (child == 0) _exit(0);
            say("clone", child > 0);
            if (child > 0) waitpid(child, NULL, 0);
            struct { unsigned long long flags, words[10]; } wanted = {.words = {0, 0, 0, SIGCHLD}};
            child = syscall(435, &wanted, 64);
            if (child == 0) _exit(0);
            say("clone3", child > 0);
            if (child > 0) waitpid(child, NULL, 0);
        #ifdef SYS_vfork
            child = vfork();
            if (child == 0) _exit(0);
            say("vfork", child > 0);
            if (child > 0) waitpid(child, NULL, 0);
        #endif
            // setsid fails for the leader of a group; a session of its own is what matters.
            say("leave-group", getpgrp() == getpid() || setsid() > 0);
            fflush(stdout);
            // Running something else; a success says so itself.
            char *arguments[] = {"sh", "-c", "echo run-shell=allowed", NULL};
            execv("/bin/sh", arguments);
            say("run-shell", 0);
            printf("</flow>\n</page>\n");
            return 0;
        }
        """#
}
