import Testing

@testable import Parsing

struct SubtitleTests {
    @Test func `sentences are joined over cues, times stand apart, numbers are gone`() throws {
        let srt = """
            1
            00:00:01,000 --> 00:00:04,000
            The <i>pump</i> runs at

            2
            00:00:04,000 --> 00:00:07,000
            {\\an8}nine hundred turns
            a minute.

            3
            00:00:30,000 --> 00:00:33,000
            Open it by hand.
            """
        let document = try Support.parse(srt, name: "talk.srt")
        #expect(
            document.texts == [
                "00:00:01 to 00:00:07\nThe pump runs at nine hundred turns a minute.", "00:00:30 to 00:00:33\nOpen it by hand.",
            ])
        #expect(try Support.parse(srt, name: "talk.txt").texts == document.texts)
    }

    @Test func `WebVTT has notes, styles, speakers and rolling captions`() throws {
        let vtt = """
            WEBVTT - a title

            NOTE not said

            STYLE
            ::cue { color: red }

            intro
            00:01.000 --> 00:04.000 align:start
            <v Vera Example>The valve is shut &amp; sealed.

            00:04.500 --> 00:06.000
            <v Bo>Open it<00:00:05.000> by hand.

            00:06.000 --> 00:08.000
            <v Bo>Open it by hand.
            <v Bo>Slowly.
            """
        let document = try Support.parse(vtt, name: "talk.vtt")
        #expect(
            document.texts == [
                "00:00:01 to 00:00:04\nVera Example: The valve is shut & sealed.", "00:00:04 to 00:00:08\nBo: Open it by hand. Slowly.",
            ])
        #expect(document.mimeType == "text/vtt")
    }

    @Test func `a text that mentions times is no subtitle`() throws {
        #expect(try Support.parse("The film --> at nine.\nNext day.\n", name: "a.txt").mimeType == "text/plain")
    }
}
