import Retrieval

/// What the sources say about a question's specifics, unit by unit: a sentence is about what it names, else about what was named last before it.
final class SpecificScopes {
    private let specifics: Specifics
    private let sources: [Source]
    /// By source and unit, made when they are asked for.
    private var own: [[Int]: [Specific.Status]] = [:]
    private var around: [Int: [Specific.Status]] = [:]
    private var results: [[Int]: [Specific.Status]] = [:]

    /// Units that a sentence may lean on.
    private static let reach = 40

    init(_ specifics: Specifics, _ sources: [Source]) {
        self.specifics = specifics
        self.sources = sources
    }

    func statuses(source: Int, unit: Int) -> [Specific.Status] {
        if let known = results[[source, unit]] { return known }
        var statuses = ownStatuses(source, unit)
        let units = sources[source].units
        let leans = ExtractiveAnswer.opensWithPronoun(sources[source].text(units[unit]))
        for index in statuses.indices
        where (statuses[index] == .absent || statuses[index] == .doubtful) && !specifics.list[index].isCompanion {
            var found = Specific.Status.absent
            /// Labels of lines that name another.
            var labels: Set<Substring> = []
            for before in units[..<unit].indices.reversed().prefix(Self.reach) {
                // Rows and items beside this one speak of themselves. Lines with labels are one record, unless this one names another.
                let isEntry = units[unit].kind == .item && units[unit].context == nil
                let isRecord = isEntry && statuses[index] == .absent
                if isEntry, units[before].kind == .item, units[before].context == nil {
                    // Each block of lines with labels is a record of its own.
                    if units[before].block != units[unit].block { continue }
                    // "Name: Karl Holm" above begins another record than "Name: Vera Holm" further above.
                    let own = ownStatuses(source, before)[index]
                    if own == .doubtful { labels.insert(label(source, before)) }
                    if own == .supported, labels.contains(label(source, before)) {
                        found = .conflicting
                        break
                    }
                }
                if !isRecord, units[before].block == units[unit].block, units[unit].kind != .sentence,
                    units[before].kind == units[unit].kind,
                    units[unit].context != units[before].range
                {
                    continue
                }
                if units[before].kind == .row { continue }
                var status = ownStatuses(source, before)[index]
                // Under "Results 2024" all is about that year.
                if status == .absent, units[before].kind == .heading, specifics.list[index].kind == .year,
                    !SpecificText(sources[source].text(units[before])).years.isEmpty
                {
                    status = .conflicting
                }
                if status == .conflicting || status == .supported {
                    found = status
                    break
                }
                // "She" is whoever was named last.
                if leans, status == .doubtful, units[before].kind == .sentence {
                    found = .conflicting
                    break
                }
            }
            // A record that names another in place of the one is about that other.
            if found == .absent, labels.contains(where: Self.naming.contains) { found = .conflicting }
            if found == .absent { found = surroundings(source)[index] }
            if found != .absent { statuses[index] = found }
        }
        results[[source, unit]] = statuses
        return statuses
    }

    /// The label of a line.
    private func label(_ source: Int, _ unit: Int) -> Substring {
        sources[source].text(sources[source].units[unit]).lowercased().prefix { $0 != ":" }
    }

    private static let naming: Set<Substring> = [
        "name", "person", "contact", "employee", "customer", "client", "patient", "member", "kunde", "mitarbeiter", "patient",
        "ansprechpartner",
    ]

    /// Whether a unit itself says all that must be said, or leans on the one before.
    func isNamed(source: Int, unit: Int) -> Bool {
        zip(ownStatuses(source, unit), specifics.list).allSatisfy { $0 == .supported || $1.isSoft }
            || ExtractiveAnswer.opensWithPronoun(sources[source].text(sources[source].units[unit]))
    }

    private func ownStatuses(_ source: Int, _ unit: Int) -> [Specific.Status] {
        if let known = own[[source, unit]] { return known }
        let units = sources[source].units
        var text = sources[source].text(units[unit])
        if let context = units[unit].context { text += "\n" + sources[source].text(context) }
        var statuses = specifics.statuses(in: SpecificText(text), isRow: units[unit].kind == .row || units[unit].kind == .item)
        if units[unit].kind == .row, let context = units[unit].context {
            let row = sources[source].text(units[unit])
            let header = sources[source].text(context)
            for index in statuses.indices {
                if let told = specifics.status(index, row: row, header: header) { statuses[index] = told }
            }
        }
        own[[source, unit]] = statuses
        return statuses
    }

    /// Headings, then the title, then the file's name.
    private func surroundings(_ source: Int) -> [Specific.Status] {
        if let known = around[source] { return known }
        let passage = sources[source].passage
        let name = String(passage.source.split(separator: "/").last ?? "").replacing("_", with: " ")
        var statuses = [Specific.Status](repeating: .absent, count: specifics.list.count)
        for text in [passage.heading, passage.title ?? "", name] where !text.isEmpty {
            let told = specifics.statuses(in: SpecificText(text))
            for index in statuses.indices where statuses[index] == .absent && told[index] != .doubtful { statuses[index] = told[index] }
        }
        // A file's name and title may say the other thing in passing; what supports anywhere around supports.
        let all = SpecificText(passage.heading + "\n" + (passage.title ?? "") + "\n" + name)
        for (index, status) in specifics.statuses(in: all).enumerated() where status == .supported { statuses[index] = .supported }
        around[source] = statuses
        return statuses
    }
}
