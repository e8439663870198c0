import Testing

@testable import Answering

@Suite struct `JSON as units` {
    private func told(_ text: String) -> [String] {
        let bytes = Array(text.utf8)
        return TextUnits.units(in: bytes).map { unit in
            let entry = String(decoding: bytes[unit.range], as: UTF8.self)
            return unit.path.map { JSONUnits.tell($0, entry: entry) } ?? entry
        }
    }

    @Test(arguments: [
        (#"{"a": {"b": 1, "c": "x y"}, "d": true}"#, ["a.b: 1", "a.c: x y", "d: true"]),
        (#"{"list": ["x", "y"], "none": null, "empty": []}"#, ["list: x, y", "none:", "empty:"]),
        (#"[{"name": "p", "bar": 4}, {"name": "q", "bar": 5}]"#, ["p.name: p", "p.bar: 4", "q.name: q", "q.bar: 5"]),
        (
            #"{"service": {"name": "gauge", "listen": {"port": 80}}, "limit": 3}"#,
            ["service.gauge.name: gauge", "service.gauge.listen.port: 80", "limit: 3"]
        ),
        ("\"port\": 80\n  },\n  \"mail\": {\n    \"port\": 25", ["port: 80", "mail.port: 25"]),
        (#"{"quoted": "a \" b: c", "url": "http://x.example/y"}"#, ["quoted: a \\ b: c", "url: http://x.example/y"]),
    ])
    func `a key and its value are a unit`(text: String, expected: [String]) {
        #expect(told(text) == expected)
    }

    @Test(arguments: [
        "[1] See the annex.", "\"Stop,\" he said.", "{draft} of a letter", "[ ] Buy milk", "{}", "[1, 2]", "{\"a\": tru}", "{\"a",
    ])
    func `other texts are none`(text: String) {
        #expect(JSONUnits.units(in: Array(text.utf8)) == nil)
    }

    @Test func `keys are read as words`() {
        #expect(JSONUnits.read("limits.max_sessions", entry: "\"max_sessions\": 480") == "limits max sessions: 480")
        #expect(JSONUnits.read("maxUsers", entry: "\"maxUsers\": 7") == "max Users: 7")
    }

    @Test(arguments: [("jürgen", "juergen"), ("weiß", "weiss"), ("zoë", "zoe"), ("løvstad", "loevstad"), ("holm", "holm")])
    func `names have one spelling in plain letters`(name: String, plain: String) {
        #expect(Spelling.canonical(name) == plain)
        #expect(Spelling.forms(of: name).contains(name))
    }
}
