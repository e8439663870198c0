import CWebAssets
import NIOCore

/// The web user interface's files, compiled into the binary.
enum WebAssets {
    struct Asset: Sendable {
        var path: String
        var contentType: String
        var entityTag: String
        var bytes: ByteBuffer
    }

    static let all: [Asset] = [
        make("/", "text/html; charset=utf-8", outrider_web_index_html()),
        make("/app.js", "text/javascript; charset=utf-8", outrider_web_app_js()),
        make("/app.css", "text/css; charset=utf-8", outrider_web_app_css()),
        make("/icon.svg", "image/svg+xml", outrider_web_icon_svg()),
    ]

    static let paths: Set<String> = Set(all.map(\.path))

    private static func make(_ path: String, _ contentType: String, _ asset: outrider_web_asset) -> Asset {
        // The bytes are a constant of the binary; they are copied once, here.
        let bytes = unsafe UnsafeBufferPointer(start: asset.bytes, count: asset.size)
        // FNV-1a: only has to differ when the file does.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in unsafe bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return Asset(
            path: path, contentType: contentType, entityTag: "\"\(String(hash, radix: 16))\"", bytes: unsafe ByteBuffer(bytes: bytes))
    }
}
