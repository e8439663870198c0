// swift-tools-version: 6.2
import PackageDescription

// llama.cpp is built once per machine by scripts/setup.sh into a cache outside the checkout; `.deps/llama` links to it.
let llama = Context.packageDirectory + "/.deps/llama"
let llamaSwift: [SwiftSetting] = [.unsafeFlags(["-Xcc", "-I\(llama)/include"])]
let llamaLink: [LinkerSetting] = [
    .unsafeFlags([
        "-L\(llama)/lib", "-Xlinker", "-rpath", "-Xlinker", "$ORIGIN/../../../.deps/llama/lib",
        "-Xlinker", "-rpath", "-Xlinker", "$ORIGIN/../lib",
    ]),
    .linkedLibrary("llama"), .linkedLibrary("ggml"), .linkedLibrary("ggml-base"),
]
let kernelFlags: [CSetting] = [.unsafeFlags(["-O3"])]

func tests(
    _ name: String, _ dependencies: [Target.Dependency], _ swift: [SwiftSetting] = [], _ link: [LinkerSetting] = [], exclude: [String] = []
) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: [.byName(name: name), "TestSupport"] + dependencies, exclude: exclude, swiftSettings: swift,
        linkerSettings: link)
}

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")

let package = Package(
    name: "outrider",
    products: [.executable(name: "outrider", targets: ["CLI"]), .executable(name: "outrider-bench", targets: ["Bench"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.14.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.9.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.30.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.0.0"),
    ],
    targets: [
        // System libraries, each imported by exactly one module.
        .systemLibrary(name: "CLlama"),
        .systemLibrary(name: "CStemmer", providers: [.apt(["libstemmer-dev"])]),
        .systemLibrary(name: "CLibXML2", pkgConfig: "libxml-2.0", providers: [.apt(["libxml2-dev"])]),
        .systemLibrary(name: "CArchive", pkgConfig: "libarchive", providers: [.apt(["libarchive-dev"])]),
        .systemLibrary(name: "CCommonMark", providers: [.apt(["libcmark-gfm-dev", "libcmark-gfm-extensions-dev"])]),
        .systemLibrary(name: "CUchardet", pkgConfig: "uchardet", providers: [.apt(["libuchardet-dev"])]),

        .systemLibrary(name: "CCrypto", providers: [.apt(["libssl-dev"])]),

        // Our own C: kernels, the parser's sandbox, the web UI's bytes.
        .target(name: "CKernels", cSettings: kernelFlags),
        .target(name: "CEncoder", cSettings: kernelFlags),
        .target(name: "CSandbox"),
        .target(name: "CWebAssets", exclude: ["web"]),

        .target(name: "Execution"),
        .target(name: "Kernels", dependencies: ["CKernels"]),
        .target(name: "Storage"),
        .target(name: "TextSearch", dependencies: ["Kernels", "Storage", "CStemmer"]),
        .target(name: "VectorSearch", dependencies: ["Execution", "Kernels", "Storage"]),
        .target(name: "Documents", dependencies: [.product(name: "GRDB", package: "GRDB.swift")]),
        .target(name: "Inference", dependencies: ["Execution"]),
        .target(
            name: "LlamaInference", dependencies: ["Inference", "Execution", "CLlama"], swiftSettings: llamaSwift, linkerSettings: llamaLink
        ),
        .target(name: "EncoderInference", dependencies: ["Inference", "Kernels", "CEncoder"]),
        .target(name: "StaticInference", dependencies: ["Inference"]),
        .target(
            name: "RemoteInference",
            dependencies: [
                "Inference", .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
            ]),
        .target(name: "Parsing", dependencies: ["Execution", "CLibXML2", "CArchive", "CCommonMark", "CUchardet", "CSandbox"]),
        .target(name: "Segmentation"),
        .target(name: "Indexing", dependencies: ["VectorSearch", "TextSearch", "Storage", "Documents", logging]),
        .target(
            name: "Ingestion",
            dependencies: ["Execution", "Indexing", "Documents", "Inference", "Parsing", "Segmentation", "CCrypto", logging, metrics]),
        .target(
            name: "Retrieval",
            dependencies: ["Execution", "Indexing", "VectorSearch", "TextSearch", "Storage", "Documents", "Inference", logging, metrics]),
        .target(name: "Answering", dependencies: ["Execution", "Retrieval", "Documents", "Inference", "Segmentation", logging, metrics]),
        .target(name: "Evaluation", dependencies: ["Kernels"]),
        .target(
            name: "Serving",
            dependencies: [
                "Answering", "Ingestion", "Retrieval", "Documents", "Execution", logging, metrics,
                .product(name: "CoreMetrics", package: "swift-metrics"),
            ]),
        .target(
            name: "HTTPFrontend",
            dependencies: [
                "Serving", "Answering", "Ingestion", "Retrieval", "Documents", "Inference", "Execution", "CWebAssets", logging, metrics,
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),
        .target(
            name: "ModelFiles", dependencies: ["Inference", "EncoderInference", "LlamaInference", "StaticInference"],
            swiftSettings: llamaSwift),
        .executableTarget(
            name: "CLI",
            dependencies: [
                "HTTPFrontend", "Serving", "Answering", "Ingestion", "Retrieval", "Indexing", "ModelFiles", "LlamaInference",
                "StaticInference",
                "RemoteInference", "Inference", "Parsing", "Documents", "TextSearch", "VectorSearch", "Storage", "Evaluation", "Execution",
                "Kernels", logging, metrics,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ], swiftSettings: llamaSwift, linkerSettings: llamaLink),
        .executableTarget(
            name: "Bench",
            dependencies: [
                "ModelFiles", "EncoderInference", "LlamaInference", "StaticInference", "Inference", "TextSearch", "VectorSearch", "Storage",
                "Evaluation", "Execution", "Kernels", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: llamaSwift, linkerSettings: llamaLink),

        // What tests share; no part of a product.
        .target(
            name: "TestSupport",
            dependencies: ["Execution", "Inference", "Kernels", .product(name: "CoreMetrics", package: "swift-metrics")],
            path: "Tests/TestSupport"),
        tests("Execution", []),
        tests("Kernels", []),
        tests("Storage", []),
        tests("TextSearch", ["Storage"]),
        tests("VectorSearch", ["Storage", "Kernels"]),
        tests("Documents", []),
        tests("Inference", []),
        tests("LlamaInference", ["Inference"], llamaSwift),
        tests("EncoderInference", ["Inference", "LlamaInference", "CEncoder"], llamaSwift),
        tests("StaticInference", ["Inference"]),
        tests("RemoteInference", ["Inference"]),
        tests("Parsing", []),
        tests("Indexing", ["Documents", "Storage", "TextSearch", "VectorSearch"]),
        tests("Ingestion", ["Documents", "Inference", "Parsing", "Indexing", "Storage"]),
        tests("Retrieval", ["Documents", "Inference", "Indexing", metrics]),
        tests("Answering", ["Retrieval", "Documents", "Inference", metrics]),
        tests("Evaluation", []),
        tests("Serving", ["Documents"]),
        tests(
            "HTTPFrontend",
            [
                "Serving", "Answering", "Ingestion", "Retrieval", "Indexing", "Documents", "Parsing", "Inference",
                .product(name: "HummingbirdTesting", package: "hummingbird"),
            ],
            exclude: ["Golden"]),
        // The binary as a user runs it: crash, delete, evaluation, browser, module-map tests.
        .testTarget(name: "SystemTests", dependencies: ["Documents", "Evaluation", "TestSupport"]),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu17
)

// What the compiler watches over, in all of our Swift code. Where no unsafe pointer is touched, it stays so.
let safe: Set<String> = ["Answering", "Indexing", "ModelFiles", "RemoteInference", "Retrieval", "Segmentation"]
// These read the members of C's timespec, which Swift 6.3 counts to Glibc or to a module of its own runtime, by the order in which files are compiled.
let timeOfC: Set<String> = ["Documents", "Execution", "Ingestion", "Serving"]
let plainC: Set<String> = ["CKernels", "CEncoder", "CSandbox", "CWebAssets"]
for target in package.targets where target.type != .system && !plainC.contains(target.name) {
    var settings: [SwiftSetting] = [.enableUpcomingFeature("ExistentialAny")]
    if target.type != .test { settings.append(.enableUpcomingFeature("InternalImportsByDefault")) }
    if target.type != .test, !timeOfC.contains(target.name) { settings.append(.enableUpcomingFeature("MemberImportVisibility")) }
    if safe.contains(target.name) { settings.append(.strictMemorySafety()) }
    // Where changes are judged a warning is a fault; a newer compiler elsewhere may warn of more.
    if target.type != .test, Context.environment["OUTRIDER_STRICT"] != nil { settings.append(.treatAllWarnings(as: .error)) }
    target.swiftSettings = (target.swiftSettings ?? []) + settings
}

// A quick turn while working on a few modules: OUTRIDER_ONLY=ParsingTests,IngestionTests builds these targets and what they need, nothing else.
if let only = Context.environment["OUTRIDER_ONLY"], !only.isEmpty {
    var kept = Set(only.split(separator: ",").map(String.init))
    var count = 0
    while kept.count > count {
        count = kept.count
        for target in package.targets where kept.contains(target.name) {
            for case .byNameItem(let name, _) in target.dependencies { kept.insert(name) }
        }
    }
    package.targets.removeAll { !kept.contains($0.name) }
    package.products.removeAll { product in
        !["outrider": "CLI", "outrider-bench": "Bench"].contains { $0 == product.name && kept.contains($1) }
    }
}
