import ArgumentParser
import Execution
import Foundation
import Storage
import VectorSearch

extension BenchAnn {
    /// Many who ask at once: each search on its own, beside searches that go through the lists together where they wait.
    struct Clients: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Measures clients that ask at the same time, each search alone and in groups.")
        @OptionGroup var options: DataOptions
        @Option(help: "Numbers of clients, separated by commas.") var clients = "1,2,4,16,64"
        @Option(help: "Seconds of each measurement.") var seconds = 2.0
        @Option(help: "Measurements of each kind, in turns.") var repeats = 5
        @Option(help: "Hits of each search.") var k = 201
        @Option(help: "Recall target of the index.") var recallTarget: Float = 0.99

        func run() async throws {
            let data = try DataSet(options.data)
            let index = try IVFIndex(
                directory: options.index, dimension: data.dimension, metric: data.metric, readOnly: true, recallTarget: recallTarget)
            let groups = SearchGroups(index)
            // Both give the same, and the files are in memory.
            for query in data.queries.prefix(200) {
                let alone = try index.search(query, k: k, filter: nil)
                guard try await groups.search(query, k: k) == alone else {
                    throw ValidationError("a group gives other hits than a search alone")
                }
            }
            for count in clients.split(separator: ",").compactMap({ Int($0) }) where count > 0 {
                var alone: [Run] = []
                var grouped: [Run] = []
                for _ in 0..<repeats {
                    alone.append(
                        try await measure(count, data) { query in
                            try await offload { [k] in _ = try index.search(query, k: k, filter: nil) }
                        })
                    let before = groups.counts
                    var run = try await measure(count, data) { [k] query in _ = try await groups.search(query, k: k) }
                    let made = groups.counts
                    run.groupSize = Double(made.searches - before.searches) / Double(max(1, made.groups - before.groups))
                    grouped.append(run)
                }
                for (method, runs) in [("alone", alone), ("groups", grouped)] {
                    BenchOutput.fields([
                        "method": method, "data": data.name, "clients": count, "k": k, "rows": index.count, "repeats": repeats,
                        "qps": median(runs.map(\.rate)), "cpu_us": median(runs.map(\.cpu)), "p50_ms": median(runs.map(\.p50)),
                        "p99_ms": median(runs.map(\.p99)), "group": median(runs.map(\.groupSize)),
                    ])
                }
                BenchOutput.fields([
                    "method": "ratio groups/alone", "clients": count,
                    "qps": median(zip(grouped, alone).map { $0.rate / $1.rate }),
                    "cpu": median(zip(grouped, alone).map { $0.cpu / $1.cpu }),
                    "p50": median(zip(grouped, alone).map { $0.p50 / $1.p50 }), "p99": median(zip(grouped, alone).map { $0.p99 / $1.p99 }),
                ])
            }
        }

        private struct Run {
            /// Searches a second.
            var rate: Double
            /// Microseconds of all threads for each search.
            var cpu: Double
            var p50: Double
            var p99: Double
            var groupSize = 1.0
        }

        private func measure(
            _ count: Int, _ data: DataSet, _ search: @escaping @Sendable ([Float]) async throws -> Void
        ) async throws -> Run {
            let cpu = ProcessUsage.cpuSeconds
            let start = ContinuousClock.now
            let end = start + .seconds(seconds)
            let queries = data.queries
            let latencies = try await withThrowingTaskGroup(of: [Double].self) { tasks in
                for client in 0..<count {
                    tasks.addTask {
                        var own: [Double] = []
                        var number = client * 37
                        while ContinuousClock.now < end {
                            let begin = ContinuousClock.now
                            try await search(queries[number % queries.count])
                            own.append((ContinuousClock.now - begin).inSeconds * 1000)
                            number += 1
                        }
                        return own
                    }
                }
                return try await tasks.reduce(into: []) { $0 += $1 }
            }
            let elapsed = (ContinuousClock.now - start).inSeconds
            let sorted = latencies.sorted()
            let total = Double(sorted.count)
            return Run(
                rate: total / elapsed, cpu: (ProcessUsage.cpuSeconds - cpu) / total * 1e6, p50: sorted[sorted.count / 2],
                p99: sorted[sorted.count * 99 / 100])
        }

        private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
    }
}
