import Documents
import Execution
import Glibc
import Hummingbird
import Ingestion
import NIOCore

import struct Foundation.Data
import class Foundation.JSONDecoder

/// Writes the files of a multipart body to the spool folder as they arrive; never holds a file in memory.
///
/// A file is `partial-*` while it arrives and is renamed to `upload-*` when the whole request is complete, so that what a crash leaves
/// behind can be told from what a job waits for. All of it is removed when the request fails at any point.
struct UploadReceiver: Sendable {
    struct Upload: Sendable {
        var collection: String?
        var metadata: Metadata = [:]
        var files: [File] = []
    }

    struct File: Sendable {
        var name: String
        var contentType: String?
        var path: String
        var byteCount: Int
        /// SHA-256 of the bytes as they came; part of the file's last name, see `ContentHash.spoolName`.
        var hash = ""
    }

    static let fieldLimit = 1 << 20
    static let partLimit = 1000
    /// Bytes per second; who sends slower on average holds a place that others need.
    static let rateMin = 16 << 10
    private static let writeSize = 256 << 10

    let directory: String
    let maxBodyBytes: Int
    /// Time that a body may take besides what its size allows at `rateMin`.
    let patience: Duration
    let blocking: WorkPool

    /// Makes the spool folder and removes what an earlier process left half received.
    static func prepare(directory: String) throws(HTTPServerError) {
        var path = ""
        for component in directory.split(separator: "/", omittingEmptySubsequences: false) {
            path += path.isEmpty && component.isEmpty ? "/" : component + "/"
            if mkdir(path, 0o700) != 0 && errno != EEXIST && errno != EISDIR {
                throw .spoolFolder(path: path, reason: String(cString: strerror(errno)))
            }
        }
        guard let folder = opendir(directory) else { throw .spoolFolder(path: directory, reason: String(cString: strerror(errno))) }
        defer { closedir(folder) }
        var stale: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name.hasPrefix("partial-") { stale.append(name) }
        }
        for name in stale { unlink("\(directory)/\(name)") }
        if access(directory, W_OK) != 0 { throw .spoolFolder(path: directory, reason: String(cString: strerror(errno))) }
    }

    /// Reads a whole body.
    ///
    /// - Throws: `APIError` and `MultipartError`; every file written by then has been removed.
    func receive(_ body: RequestBody, contentType: String) async throws -> Upload {
        var upload = Upload()
        var open: Int32 = -1
        do {
            try await receive(body, contentType: contentType, into: &upload, file: &open)
            for index in upload.files.indices {
                let final = ContentHash.spoolName(
                    upload.files[index].path.replacing("/partial-", with: "/upload-"), hash: upload.files[index].hash)
                let partial = upload.files[index].path
                guard rename(partial, final) == 0 else { throw failure("renamed", partial) }
                upload.files[index].path = final
            }
            try await syncFolder()
            return upload
        } catch {
            if open >= 0 { close(open) }
            Self.remove(upload.files)
            throw error
        }
    }

    /// Makes the files' names as durable as their bytes are: the job that names them is stored next.
    private func syncFolder() async throws {
        try await blocking.run {
            let folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard folder >= 0 else { throw failure("opened", directory) }
            defer { close(folder) }
            guard fsync(folder) == 0 else { throw failure("written", directory) }
        }
    }

    static func remove(_ files: [File]) {
        for file in files { unlink(file.path) }
    }

    private func receive(_ body: RequestBody, contentType: String, into upload: inout Upload, file: inout Int32) async throws {
        var parser = try MultipartParser(contentType: contentType, partLimit: Self.partLimit)
        var received = 0
        let start = ContinuousClock.now
        var part: MultipartParser.Headers?
        var field: [UInt8] = []
        var unwritten = ByteBuffer()
        var hash = ContentHash.Running()
        for try await bytes in body {
            received += bytes.readableBytes
            if received > maxBodyBytes { throw APIError.bodyTooLarge(limit: maxBodyBytes) }
            if ContinuousClock.now - start > patience + .seconds(Double(received) / Double(Self.rateMin)) {
                throw APIError(
                    .requestTimeout, code: "upload_too_slow", "the upload is slower than \(Self.rateMin) bytes per second and was stopped")
            }
            parser.append(bytes)
            while let event = try parser.next() {
                try Task.checkCancellation()
                switch event {
                case .part(let headers):
                    part = headers
                    field = []
                    switch headers.name {
                    case "file", "files":
                        guard let sent = headers.fileName else {
                            throw APIError.invalid(
                                headers.name, "the part '\(headers.name)' has no file name; send files as in curl -F file=@report.pdf")
                        }
                        guard let name = Self.sanitized(fileName: sent) else {
                            throw APIError.invalid(headers.name, "'\(sent.prefix(100))' is not a usable file name")
                        }
                        let path = "\(directory)/partial-\(SortableID.random().text)"
                        file = Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
                        guard file >= 0 else { throw failure("created", path) }
                        hash = ContentHash.Running()
                        upload.files.append(File(name: name, contentType: headers.contentType, path: path, byteCount: 0))
                    case "collection", "metadata": break
                    default: throw APIError.unknownMember(headers.name, known: ["file", "collection", "metadata"])
                    }
                case .data(var data):
                    if file >= 0 {
                        upload.files[upload.files.count - 1].byteCount += data.readableBytes
                        unwritten.writeBuffer(&data)
                        if unwritten.readableBytes >= Self.writeSize {
                            try await flush(&unwritten, to: file, path: upload.files.last!.path, hash)
                        }
                    } else if let part {
                        if field.count + data.readableBytes > Self.fieldLimit {
                            throw MultipartError.fieldTooLong(name: part.name, limit: Self.fieldLimit)
                        }
                        field += data.readableBytesView
                    }
                case .endOfPart:
                    if file >= 0 {
                        try await flush(&unwritten, to: file, path: upload.files.last!.path, hash)
                        upload.files[upload.files.count - 1].hash = hash.finish()
                        let descriptor = file
                        let path = upload.files.last!.path
                        try await blocking.run { if fsync(descriptor) != 0 { throw failure("written", path) } }
                        file = -1
                        guard close(descriptor) == 0 else { throw failure("closed", path) }
                    } else if let part {
                        try Self.take(field, of: part.name, into: &upload)
                    }
                    part = nil
                case .end: break
                }
            }
        }
        try parser.finish()
        if upload.files.isEmpty {
            throw APIError.invalid(
                "file", "the body has no part named 'file'; send one or more, as in curl -F file=@report.pdf", code: "missing_member")
        }
    }

    private static func take(_ field: [UInt8], of name: String, into upload: inout Upload) throws {
        guard let text = String(validating: field, as: UTF8.self) else {
            throw APIError.invalid(name, "the field '\(name)' is not UTF-8 text")
        }
        if name == "collection" {
            upload.collection = text
        } else {
            do {
                upload.metadata = try JSONDecoder().decode(Metadata.self, from: Data(field))
            } catch let error as DecodingError {
                let fault = APIError(error, in: Data(field), whole: "the field 'metadata'", example: "{\"year\": 2024}")
                throw APIError.invalid(fault.param.map { "metadata.\($0)" } ?? "metadata", fault.message)
            }
        }
    }

    private func flush(_ buffer: inout ByteBuffer, to file: Int32, path: String, _ hash: ContentHash.Running) async throws {
        guard buffer.readableBytes > 0 else { return }
        let bytes = buffer
        buffer = ByteBuffer()
        unsafe bytes.withUnsafeReadableBytes { unsafe hash.update($0) }
        try await blocking.run {
            try bytes.withUnsafeReadableBytes { bytes in
                var sent = 0
                while sent < bytes.count {
                    let count = unsafe write(file, bytes.baseAddress! + sent, bytes.count - sent)
                    if count < 0 && errno == EINTR { continue }
                    guard count >= 0 else { throw failure("written", path) }
                    sent += count
                }
            }
        }
    }

    /// A full disk is the one failure that a client can act on.
    private func failure(_ verb: String, _ path: String) -> APIError {
        let code = errno
        let reason = String(cString: strerror(code))
        if code == ENOSPC || code == EDQUOT {
            return APIError(.insufficientStorage, code: "disk_full", "the upload could not be stored: \(reason); free some disk space")
        }
        return APIError(
            .internalServerError, code: "storage_error", detail: "'\(path)' cannot be \(verb): \(reason)",
            "the upload could not be stored: \(reason)")
    }

    /// A name with the folders that were given with it, without control characters; nil when nothing usable is left.
    ///
    /// A relative path is kept, since two folders may hold files of one name. Of a path that is absolute or climbs out of its folder the last part is.
    static func sanitized(fileName: String) -> String? {
        let parts = fileName.split(omittingEmptySubsequences: false) { $0 == "/" || $0 == "\\" }
        let isDrive = parts[0].utf8.count == 2 && parts[0].hasSuffix(":")
        let isRelative = parts.count > 1 && !parts[0].isEmpty && !isDrive && !parts.contains("..")
        guard let last = parts.last.flatMap({ clean($0) }) else { return nil }
        guard isRelative else { return last }
        let path = (parts.dropLast().compactMap { clean($0) } + [last]).joined(separator: "/")
        return path.utf8.count <= 4096 ? path : nil
    }

    private static func clean(_ part: Substring) -> String? {
        var scalars = String.UnicodeScalarView()
        for scalar in part.unicodeScalars {
            switch scalar.properties.generalCategory {
            // Controls and direction marks can make a name look like another one.
            case .control, .format, .surrogate, .lineSeparator, .paragraphSeparator: continue
            default: scalars.append(scalar)
            }
        }
        let name = String(String(scalars).trimming { $0 == " " })
        if name.isEmpty || name == "." || name == ".." || name.utf8.count > 255 { return nil }
        return name
    }
}

extension APIError {
    static func bodyTooLarge(limit: Int?) -> APIError {
        let size = limit.map { "larger than \($0) bytes" } ?? "too large"
        return APIError(.contentTooLarge, code: "body_too_large", "the body is \(size); send less at once, or raise the server's limit")
    }
}
