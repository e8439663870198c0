/// A JSON object that clients send. The members it knows are its coding keys; any other is refused, since a misspelt option must not be silently ignored.
///
/// A body is decoded by the functions of `Members`, whose errors name the member by its path and say what was expected, so nothing is read out of
/// the messages of a decoder.
protocol ObjectBody: Decodable, Sendable {
    associatedtype Member: CodingKey, CaseIterable, RawRepresentable<String>

    init(_ members: Members<Member>) throws
}

extension ObjectBody {
    static var memberNames: Set<String> { Set(Member.allCases.map(\.rawValue)) }

    init(from decoder: any Decoder) throws {
        let names = try decoder.container(keyedBy: AnyMember.self).allKeys.map(\.stringValue)
        let known = Self.memberNames
        if let unknown = names.sorted().first(where: { !known.contains($0) }) { throw APIError.unknownMember(unknown, known: known) }
        try self.init(Members(container: try decoder.container(keyedBy: Member.self)))
    }
}

/// A member's name, whatever it is.
private struct AnyMember: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

/// The members of one object of a request. Absent and null are the same where a member may be absent.
struct Members<Member: CodingKey> {
    let container: KeyedDecodingContainer<Member>

    /// `documents[2].text`.
    func path(_ member: Member) -> String { APIError.path(container.codingPath + [member]) ?? member.stringValue }

    func required<Value: Decodable>(_ type: Value.Type, _ member: Member) throws -> Value { try container.decode(type, forKey: member) }

    func optional<Value: Decodable>(_ type: Value.Type, _ member: Member) throws -> Value? {
        try container.decodeIfPresent(type, forKey: member)
    }

    /// One of the values of an enumeration.
    func choice<Choice: RawRepresentable<String> & CaseIterable>(_ type: Choice.Type, _ member: Member) throws -> Choice? {
        try container.decodeIfPresent(String.self, forKey: member).map { try choice(type, $0, member) }
    }

    func requiredChoice<Choice: RawRepresentable<String> & CaseIterable>(_ type: Choice.Type, _ member: Member) throws -> Choice {
        try choice(type, try container.decode(String.self, forKey: member), member)
    }

    private func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ type: Choice.Type, _ text: String, _ member: Member
    ) throws -> Choice {
        if let choice = Choice(rawValue: text) { return choice }
        let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
        throw APIError.invalid(path(member), "'\(path(member))' is '\(text.prefix(60))'; use \(known)")
    }

    /// A whole number.
    func whole(_ member: Member) throws -> Int? {
        do {
            return try container.decodeIfPresent(Int.self, forKey: member)
        } catch let error as DecodingError {
            throw error
        } catch {
            // A number that is not whole; the decoder's own error for it is not public.
        }
        guard let number = try number(member) else { return nil }
        if let value = Int(exactly: number) { return value }
        let told = number.isFinite ? "\(number)" : "out of range"
        throw APIError.invalid(path(member), "'\(path(member))' is \(told); use a whole number that fits")
    }

    /// A number. One beyond what a `Double` holds is infinite, so that whoever knows the range of the member says it.
    func number(_ member: Member) throws -> Double? {
        do {
            return try container.decodeIfPresent(Double.self, forKey: member)
        } catch let error as DecodingError {
            throw error
        } catch {
            // The one thing that a number can have against being a `Double`; the decoder's own error for it is not public.
            return .infinity
        }
    }

    func float(_ member: Member) throws -> Float? { try number(member).map(Float.init) }
}
