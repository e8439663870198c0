import Synchronization

/// Finds out which JSON members a `Decodable` type reads, by letting it read an empty object and writing down what it asks for.
///
/// So the list can never drift from the type, which another module owns. It sees everything that a type reads before the first
/// thing it cannot get: required strings, numbers, Booleans and lists are given an empty value, optional members are absent.
enum MemberNames {
    private static let cache = Mutex<[ObjectIdentifier: Set<String>]>([:])

    static func of<Value: Decodable>(_ type: Value.Type) -> Set<String> {
        let key = ObjectIdentifier(type)
        if let known = cache.withLock({ $0[key] }) { return known }
        let recorder = Recorder()
        _ = try? Value(from: recorder)
        let names = recorder.names
        cache.withLock { $0[key] = names }
        return names
    }

    private struct Absent: Error {}

    private final class Recorder: Decoder {
        var names: Set<String> = []
        var codingPath: [any CodingKey] { [] }
        var userInfo: [CodingUserInfoKey: Any] { [:] }
        func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
            KeyedDecodingContainer(Keyed<Key>(recorder: self))
        }
        func unkeyedContainer() throws -> any UnkeyedDecodingContainer { throw Absent() }
        func singleValueContainer() throws -> any SingleValueDecodingContainer { throw Absent() }
    }

    private struct Keyed<Key: CodingKey>: KeyedDecodingContainerProtocol {
        let recorder: Recorder
        var codingPath: [any CodingKey] { [] }
        var allKeys: [Key] { [] }

        func contains(_ key: Key) -> Bool {
            recorder.names.insert(key.stringValue)
            return false
        }
        func decodeNil(forKey key: Key) throws -> Bool {
            recorder.names.insert(key.stringValue)
            return true
        }
        func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
            recorder.names.insert(key.stringValue)
            switch type {
            case is String.Type: return "" as! T
            case is Bool.Type: return false as! T
            case is Int.Type: return 0 as! T
            case is Double.Type: return 0.0 as! T
            case is Float.Type: return Float(0) as! T
            default:
                if let list = type as? any EmptyMakeable.Type { return list.init() as! T }
                return try T(from: Recorder())
            }
        }
        func nestedContainer<N: CodingKey>(keyedBy type: N.Type, forKey key: Key) throws -> KeyedDecodingContainer<N> {
            recorder.names.insert(key.stringValue)
            throw Absent()
        }
        func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
            recorder.names.insert(key.stringValue)
            throw Absent()
        }
        func superDecoder() throws -> any Decoder { throw Absent() }
        func superDecoder(forKey key: Key) throws -> any Decoder { throw Absent() }
    }
}

/// What can stand in for an empty JSON list or object.
private protocol EmptyMakeable { init() }
extension Array: EmptyMakeable {}
extension Dictionary: EmptyMakeable {}
