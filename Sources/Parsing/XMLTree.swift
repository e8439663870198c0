import CLibXML2
import Foundation

/// A parsed XML or HTML tree, owned. Nodes are valid as long as it lives.
///
/// Nothing is fetched: external entities and document type definitions stay where they are, the network is off, and entities
/// that the document defines are not expanded.
final class XMLTree {
    private let document: xmlDocPtr
    let root: XMLNode

    /// Reads XML, recovering what can be recovered; nil when there is no element at all.
    convenience init?(xml bytes: [UInt8]?) {
        guard let bytes, !bytes.isEmpty, bytes.count < Int(Int32.max) else { return nil }
        Self.prepare()
        let options =
            XML_PARSE_RECOVER.rawValue | XML_PARSE_NONET.rawValue | XML_PARSE_NOERROR.rawValue
            | XML_PARSE_NOWARNING.rawValue | XML_PARSE_NOCDATA.rawValue
        let document = bytes.withUnsafeBytes { raw in
            xmlReadMemory(raw.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(raw.count), nil, nil, Int32(bitPattern: options))
        }
        self.init(document)
    }

    /// Reads HTML as found in the wild.
    convenience init?(html text: String) {
        Self.prepare()
        var text = text
        let options =
            HTML_PARSE_RECOVER.rawValue | HTML_PARSE_NONET.rawValue | HTML_PARSE_NOERROR.rawValue
            | HTML_PARSE_NOWARNING.rawValue | HTML_PARSE_IGNORE_ENC.rawValue
        let document: htmlDocPtr? = text.withUTF8 { bytes in
            guard bytes.count > 0, bytes.count < Int(Int32.max) else { return nil }
            return bytes.withMemoryRebound(to: CChar.self) {
                htmlReadMemory($0.baseAddress, Int32($0.count), nil, "UTF-8", Int32(bitPattern: options))
            }
        }
        self.init(document)
    }

    private init?(_ document: xmlDocPtr?) {
        guard let document else { return nil }
        guard let root = xmlDocGetRootElement(document) else {
            xmlFreeDoc(document)
            return nil
        }
        self.document = document
        self.root = XMLNode(pointer: root)
    }

    deinit { xmlFreeDoc(document) }

    private static let isPrepared: Bool = {
        xmlInitParser()
        xmlSetExternalEntityLoader { _, _, _ in nil }
        return true
    }()
    private static func prepare() { precondition(isPrepared) }
}

/// One element of an `XMLTree`. Names are local names: prefixes differ between writers, local names do not.
struct XMLNode {
    let pointer: xmlNodePtr

    var name: String {
        guard pointer.pointee.type == XML_ELEMENT_NODE, let name = pointer.pointee.name else { return "" }
        return String(cString: name)
    }

    var isElement: Bool { pointer.pointee.type == XML_ELEMENT_NODE }
    var isText: Bool { pointer.pointee.type == XML_TEXT_NODE || pointer.pointee.type == XML_CDATA_SECTION_NODE }

    /// The characters of a text node.
    var characters: String { isText ? pointer.pointee.content.map { String(cString: $0) } ?? "" : "" }

    /// Elements and text nodes, in order.
    var nodes: Nodes { Nodes(current: pointer.pointee.type == XML_ENTITY_REF_NODE ? nil : pointer.pointee.children) }
    /// Elements only.
    var children: some Sequence<XMLNode> { nodes.lazy.filter(\.isElement) }
    var parent: XMLNode? { pointer.pointee.parent.map { XMLNode(pointer: $0) } }

    struct Nodes: Sequence, IteratorProtocol {
        var current: xmlNodePtr?
        mutating func next() -> XMLNode? {
            guard let node = current else { return nil }
            current = node.pointee.next
            return XMLNode(pointer: node)
        }
    }

    /// An attribute by local name, or with its prefix as `"r:id"`, which matters where two share a local name.
    subscript(_ name: String) -> String? {
        guard isElement else { return nil }
        let parts = name.split(separator: ":")
        let local = String(parts.last ?? "")
        let prefix = parts.count > 1 ? String(parts[0]) : nil
        var attribute = pointer.pointee.properties
        while let current = attribute {
            if let found = current.pointee.name, strcmp(UnsafeRawPointer(found).assumingMemoryBound(to: CChar.self), local) == 0 {
                let space = current.pointee.ns?.pointee.prefix.map { String(cString: $0) }
                if prefix == nil || space == prefix {
                    guard let value = xmlNodeListGetString(pointer.pointee.doc, current.pointee.children, 1) else { return "" }
                    defer { free(value) }
                    return String(cString: value)
                }
            }
            attribute = current.pointee.next
        }
        return nil
    }

    func first(_ name: String) -> XMLNode? { children.first { $0.name == name } }

    /// Follows a path of child names.
    func find(_ path: String...) -> XMLNode? {
        var node = self
        for name in path {
            guard let next = node.first(name) else { return nil }
            node = next
        }
        return node
    }

    /// Elements below this one in document order, this one not included. Does not recurse, so depth is no danger.
    var descendants: [XMLNode] {
        var found: [XMLNode] = []
        visit { node in
            if node.isElement { found.append(node) }
            return true
        }
        return found
    }

    /// All text below, as found.
    var text: String {
        if isText { return characters }
        var result = ""
        visit { node in
            if node.isText { result += node.characters }
            return true
        }
        return result
    }

    /// Whether there are characters other than white space directly in this element.
    var hasOwnText: Bool {
        for node in nodes where node.isText && !node.characters.isBlank { return true }
        return false
    }

    /// An attribute by its whole name, prefix included. HTML has no prefixes, so there `epub:type` is one name.
    func attribute(named name: String) -> String? {
        guard isElement else { return nil }
        guard let value = xmlGetProp(pointer, name) else { return self[name] }
        defer { free(value) }
        return String(cString: value)
    }

    /// The next element beside this one, forwards or backwards; nil at the end, and where text lies between when `overText` is false.
    func sibling(forward: Bool, overText: Bool = false) -> XMLNode? {
        var current = forward ? pointer.pointee.next : pointer.pointee.prev
        while let found = current {
            let node = XMLNode(pointer: found)
            if node.isElement { return node }
            if !overText, node.isText, !node.characters.isBlank { return nil }
            current = forward ? found.pointee.next : found.pointee.prev
        }
        return nil
    }

    /// Walks in document order with both ends of elements: `enter` says whether to go into a node, `leave` follows for each element
    /// that was gone into.
    func visit(enter: (XMLNode) -> Bool, leave: (XMLNode) -> Void) {
        guard var current = pointer.pointee.children, pointer.pointee.type != XML_ENTITY_REF_NODE else { return }
        while true {
            let node = XMLNode(pointer: current)
            if enter(node), node.isElement {
                if let child = current.pointee.children {
                    current = child
                    continue
                }
                leave(node)
            }
            while true {
                if let next = current.pointee.next {
                    current = next
                    break
                }
                guard let parent = current.pointee.parent, parent != pointer else { return }
                leave(XMLNode(pointer: parent))
                current = parent
            }
        }
    }

    /// Walks in document order; `body` says whether to go into a node.
    func visit(_ body: (XMLNode) -> Bool) {
        guard var current = pointer.pointee.children, pointer.pointee.type != XML_ENTITY_REF_NODE else { return }
        while true {
            let node = XMLNode(pointer: current)
            let goesIn = body(node) && node.isElement
            if goesIn, let child = current.pointee.children {
                current = child
                continue
            }
            while true {
                if let next = current.pointee.next {
                    current = next
                    break
                }
                guard let parent = current.pointee.parent, parent != pointer else { return }
                current = parent
            }
        }
    }
}
