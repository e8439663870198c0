import Foundation

/// Real documents and data sets that lie beside the checkout, when this machine has them. They are no part of the project, so whatever uses them is skipped
/// where they are not.
package enum SharedData {
    /// The checkout.
    package static let packageFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    /// The folder of data sets: `data` in `OUTRIDER_SHARED`, or in `../shared`; nil when there is none.
    package static let folder: String? = {
        let candidates: [String?] = [
            ProcessInfo.processInfo.environment["OUTRIDER_SHARED"].map { $0 + "/data" },
            URL(fileURLWithPath: packageFolder + "/../shared/data").standardized.path,
        ]
        return candidates.compactMap { $0 }.first { FileManager.default.fileExists(atPath: $0) }
    }()
}
