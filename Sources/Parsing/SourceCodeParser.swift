import Foundation

/// Reads program text: blocks of top-level lines, so that a function stays together.
enum SourceCodeParser {
    /// Languages by file extension; names as Markdown fences use them.
    static let languages: [String: String] = [
        "swift": "swift", "c": "c", "h": "c", "cc": "cpp", "cpp": "cpp", "cxx": "cpp", "hpp": "cpp", "hh": "cpp", "m": "objective-c",
        "mm": "objective-c",
        "py": "python", "pyi": "python", "rb": "ruby", "rs": "rust", "go": "go", "java": "java", "kt": "kotlin", "kts": "kotlin",
        "scala": "scala",
        "js": "javascript", "mjs": "javascript", "cjs": "javascript", "jsx": "jsx", "ts": "typescript", "tsx": "tsx", "vue": "vue",
        "svelte": "svelte",
        "cs": "csharp", "fs": "fsharp", "vb": "vb", "php": "php", "pl": "perl", "pm": "perl", "lua": "lua", "r": "r", "jl": "julia",
        "dart": "dart",
        "hs": "haskell", "ml": "ocaml", "mli": "ocaml", "ex": "elixir", "exs": "elixir", "erl": "erlang", "clj": "clojure", "lisp": "lisp",
        "el": "lisp",
        "scm": "scheme", "zig": "zig", "nim": "nim", "d": "d", "sh": "shell", "bash": "shell", "zsh": "shell", "fish": "shell",
        "ps1": "powershell",
        "bat": "batch", "cmd": "batch", "sql": "sql", "css": "css", "scss": "scss", "less": "less", "cmake": "cmake", "gradle": "groovy",
        "groovy": "groovy",
        "proto": "protobuf", "thrift": "thrift", "graphql": "graphql", "tf": "hcl", "hcl": "hcl", "nix": "nix", "asm": "assembly",
        "s": "assembly",
        "cu": "cuda", "cl": "opencl", "f": "fortran", "f90": "fortran", "f95": "fortran", "pas": "pascal", "adb": "ada", "ads": "ada",
        "v": "verilog",
        "sv": "verilog", "vhd": "vhdl", "tex": "latex", "bib": "bibtex", "yaml": "yaml", "yml": "yaml", "toml": "toml", "ini": "ini",
        "cfg": "ini",
        "conf": "ini", "properties": "properties", "env": "ini", "diff": "diff", "patch": "diff", "mk": "make", "awk": "awk", "vim": "vim",
    ]

    static func language(name: String, fileExtension: String) -> String? {
        if let known = languages[fileExtension] { return known }
        switch name.split(separator: "/").last.map(String.init) ?? name {
        case "Makefile", "makefile", "GNUmakefile": return "make"
        case "Dockerfile", "Containerfile": return "dockerfile"
        case "CMakeLists.txt": return "cmake"
        case "Rakefile", "Gemfile": return "ruby"
        case "Jenkinsfile": return "groovy"
        default: return nil
        }
    }

    /// The language that a `#!` line names.
    static func interpreter(_ head: [UInt8]) -> String? {
        guard head.starts(with: "#!".utf8) else { return nil }
        let line = String(decoding: head.prefix(200).prefix { $0 != 0x0A }, as: UTF8.self)
        for (name, language) in [
            ("python", "python"), ("bash", "shell"), ("/sh", "shell"), ("zsh", "shell"), ("perl", "perl"), ("ruby", "ruby"),
            ("node", "javascript"),
        ]
        where line.contains(name) { return language }
        return "shell"
    }

    static func parse(_ input: ParseInput, language: String, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let decoded = TextDecoder.decode(try input.bytes())
        var builder = context.builder
        for block in blocks(decoded.text) { try builder.code(block, language: language) }
        return builder.finish(title: nil, mimeType: "text/x-\(language)", properties: ["language": language])
    }

    /// Cuts before a line that starts at the margin after a blank line; small neighbours stay together, very long ones are cut anyway.
    static func blocks(_ text: String) -> [String] {
        var blocks: [String] = []
        var current: [Substring] = []
        var bytes = 0
        var wasBlank = false
        func close() {
            while let last = current.last, last.isBlank { current.removeLast() }
            if !current.isEmpty { blocks.append(current.joined(separator: "\n")) }
            current = []
            bytes = 0
        }
        for line in PlainTextParser.splitLines(text) {
            let isBlank = line.isBlank
            let startsAtMargin = !isBlank && line.first != " " && line.first != "\t" && line.first != "}" && line.first != ")"
            if (wasBlank && startsAtMargin && bytes > 160) || current.count >= 120 || bytes > 8000 { close() }
            if !(current.isEmpty && isBlank) {
                current.append(line)
                bytes += line.utf8.count + 1
            }
            wasBlank = isBlank
        }
        close()
        return blocks
    }
}

extension Substring {
    var trimmed: String { trimmingCharacters(in: .whitespacesAndNewlines) }
    var isBlank: Bool { utf8.allSatisfy { $0 <= 0x20 } }
}
