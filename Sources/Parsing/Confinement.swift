import CSandbox
import Foundation

/// What the parser's process may still open and run when it has entered its confinement.
///
/// Everything else is out of reach, and the document among it: it comes as an open descriptor. The list holds what the
/// programs need to start and to draw text, all of it the system's: libraries, fonts, poppler's and tesseract's data,
/// locales, time zones. Of `/proc` and of homes nothing.
enum Confinement {
    /// The programs that parsers run.
    static let programs = ["pdftotext", "pdftoppm", "tesseract"]

    /// Read with all that lies beneath.
    private static let readable = [
        // Libraries and data that packages bring. Not all of /usr: somebody's own files may be in /usr/local.
        "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/libexec", "/usr/share",
        "/usr/local/lib", "/usr/local/lib64", "/usr/local/share", "/lib", "/lib32", "/lib64", "/libx32",
        "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload",
        "/etc/fonts", "/var/cache/fontconfig", "/var/lib/defoma", "/etc/localtime", "/etc/locale.alias", "/etc/poppler", "/etc/xpdf",
        "/etc/papersize", "/etc/paperspecs",
        // How many processors there are.
        "/sys/devices/system/cpu",
        "/dev/zero", "/dev/random", "/dev/urandom",
    ]
    /// Trees in which each package has a folder of its own and everything can be read by everybody.
    private static let stores = ["/nix/store", "/gnu/store", "/home/linuxbrew/.linuxbrew"]

    /// Confines this process for good, and returns the layers in place. To be called by its only thread.
    static func enter(memoryBytes: UInt64, fileBytes: UInt64) -> UInt32 {
        var limits = outrider_limits(
            address_space_bytes: memoryBytes, file_bytes: fileBytes, open_files: 64, processes: processCount)
        let rules = rules()
        return withCStrings(rules.map(\.path)) { paths in
            let access = rules.indices.map { outrider_access(path: paths[$0].map { UnsafePointer($0) }, rights: rules[$0].rights) }
            return outrider_sandbox_enter(&limits, getppid(), access, access.count)
        }
    }

    /// Threads and processes above what the user has already; a parser has about three threads, and runs one program at a time.
    private static let processCount: UInt64 = 128

    struct Rule: Hashable {
        var path: String
        var rights: UInt32
    }

    private static let read = UInt32(OUTRIDER_ACCESS_READ)
    private static let run = UInt32(OUTRIDER_ACCESS_READ) | UInt32(OUTRIDER_ACCESS_EXECUTE)
    private static let needed = UInt32(OUTRIDER_ACCESS_NEEDED)

    /// All holes in the wall, found out on this machine now.
    static func rules() -> [Rule] {
        var rules = readable.map { Rule(path: $0, rights: read) }
        rules.append(Rule(path: "/dev/null", rights: read | UInt32(OUTRIDER_ACCESS_WRITE)))
        // Our own libraries lie anywhere: a toolchain, a folder beside the program.
        rules += mappedFiles().map { Rule(path: $0, rights: read) }
        if let data = getenv("TESSDATA_PREFIX") { rules.append(Rule(path: String(cString: data), rights: read | needed)) }
        for program in programs {
            guard let path = ToolRunner.find(program) else { continue }
            rules += Self.rules(forProgram: path)
        }
        return rules
    }

    /// To start the program and to let it find its libraries where they are installed with it.
    static func rules(forProgram path: String) -> [Rule] {
        guard let real = realPath(path) else { return [] }
        var rules = [Rule(path: real, rights: run | needed)]
        if let store = stores.first(where: { real.hasPrefix($0 + "/") }) {
            rules.append(Rule(path: store, rights: read))
        } else if !real.hasPrefix("/usr/bin/"), !real.hasPrefix("/bin/") {
            let parts = real.split(separator: "/").dropLast(2)
            // `/opt/poppler/bin/pdftotext` has `/opt/poppler/lib`; a program right below the root has nothing.
            if !parts.isEmpty {
                let prefix = "/" + parts.joined(separator: "/")
                for folder in ["lib", "lib64", "share"] { rules.append(Rule(path: prefix + "/" + folder, rights: read)) }
            }
        }
        var current = real
        // A script is run by a program that may be one too; the kernel follows four of them.
        for _ in 0..<4 {
            guard let (interpreter, isScript) = interpreter(of: current), let found = realPath(interpreter) else { break }
            rules.append(Rule(path: found, rights: run))
            if isScript {
                // Whatever it goes on to run in its own place: it can start nothing beside itself.
                for folder in ["/usr/bin", "/bin", "/usr/local/bin", "/usr/lib", "/lib", "/lib64"] {
                    rules.append(Rule(path: folder, rights: run))
                }
            }
            current = found
        }
        return rules
    }

    /// Which program starts this one: the dynamic loader of a compiled one, the first line of a script.
    static func interpreter(of path: String) -> (path: String, isScript: Bool)? {
        guard let file = FileHandle(forReadingAtPath: path) else { return nil }
        defer { try? file.close() }
        guard let data = try? file.read(upToCount: 4096) else { return nil }
        let head = [UInt8](data)
        if head.starts(with: "#!".utf8) {
            let line = head.dropFirst(2).prefix { $0 != 0x0A }.drop { $0 == 0x20 || $0 == 0x09 }
            let name = line.prefix { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }
            return name.isEmpty ? nil : (String(decoding: name, as: UTF8.self), true)
        }
        // A 64-bit ELF file, little-endian: program headers of 56 bytes, the one of type 3 names the loader.
        guard head.count >= 64, head.starts(with: [0x7F, 0x45, 0x4C, 0x46, 2, 1]) else { return nil }
        func number(_ offset: Int, _ size: Int) -> Int? {
            guard offset >= 0, size <= head.count, offset <= head.count - size else { return nil }
            return head[offset..<offset + size].reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        guard let table = number(32, 4), let entrySize = number(54, 2), let count = number(56, 2), entrySize >= 56 else { return nil }
        for index in 0..<min(count, 64) {
            let entry = table + index * entrySize
            guard let type = number(entry, 4), let offset = number(entry + 8, 4), let size = number(entry + 32, 4) else { return nil }
            guard type == 3 else { continue }
            guard size > 1, size <= 4096, offset <= head.count - size else { return nil }
            return (String(decoding: head[offset..<offset + size].prefix { $0 != 0 }, as: UTF8.self), false)
        }
        return nil
    }

    private static func realPath(_ path: String) -> String? {
        guard let found = realpath(path, nil) else { return nil }
        defer { free(found) }
        return String(cString: found)
    }

    /// The files that are mapped into this process: the program and its libraries.
    private static func mappedFiles() -> Set<String> {
        let maps = (try? String(contentsOfFile: "/proc/self/maps", encoding: .utf8)) ?? ""
        var files: Set<String> = []
        for line in maps.split(separator: "\n") {
            if let slash = line.firstIndex(of: "/"), !line.hasSuffix(" (deleted)") { files.insert(String(line[slash...])) }
        }
        return files
    }
}
