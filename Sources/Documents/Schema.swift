import Foundation
import GRDB

/// The tables and their history. A change of the schema is a new migration at the end; the ones before it never change.
enum Schema {
    /// `PRAGMA user_version` after the last migration.
    static let version = 5
    /// `PRAGMA application_id`: "Outr".
    static let applicationID = 0x4F75_7472

    /// Refuses a file that is not ours or that a later version has written.
    static func check(_ pool: DatabasePool, directory: String) throws {
        try pool.read { database in
            let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
            let application = try Int.fetchOne(database, sql: "PRAGMA application_id") ?? 0
            let tables = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master WHERE name NOT LIKE 'grdb_%'") ?? 0
            guard application == applicationID || (application == 0 && tables == 0) else {
                throw DocumentStoreError.cannotOpen(path: directory, reason: "\(DocumentStore.fileName) belongs to another program")
            }
            guard try version <= Self.version && !migrator.hasBeenSuperseded(database) else {
                throw DocumentStoreError.newerSchema(path: directory, got: max(version, Self.version + 1), expected: Self.version)
            }
        }
    }

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 foundation") { database in
            try database.execute(sql: foundation)
            try database.execute(sql: "PRAGMA application_id = \(applicationID)")
            try database.execute(sql: "PRAGMA user_version = 1")
        }
        migrator.registerMigration("2 ingestion") { database in
            try database.execute(sql: ingestion)
            try database.execute(sql: "PRAGMA user_version = 2")
        }
        migrator.registerMigration("3 seals and checksums") { database in
            try database.execute(sql: sealsAndChecksums)
            try database.execute(sql: "PRAGMA user_version = 3")
        }
        // References are looked at one by one: a folder with an old flaw elsewhere must still open, so that `verify` can tell it.
        migrator.registerMigration("4 vector spaces", foreignKeyChecks: .immediate) { database in
            try database.execute(sql: vectorSpaces)
            try database.execute(sql: "PRAGMA user_version = 4")
        }
        migrator.registerMigration("5 texts once", foreignKeyChecks: .immediate) { database in
            try database.execute(sql: textsOnce)
            try database.execute(sql: "PRAGMA user_version = 5")
        }
        return migrator
    }

    /// The last page of a chunk; how often the program died with a file in its hands; texts that wait in the queue without a file of their own.
    private static let ingestion = """
        ALTER TABLE chunks ADD COLUMN last_page INTEGER;

        ALTER TABLE job_files ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;

        -- A row as long as the file may still be read: until its end, and for failed ones, which can be retried.
        CREATE TABLE job_texts (
            job INTEGER NOT NULL, sequence INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (job, sequence),
            FOREIGN KEY (job, sequence) REFERENCES job_files (job, sequence) ON DELETE CASCADE);
        """

    private static let sealsAndChecksums = """
        -- The last seals of each collection's index files. A manifest names its seal: one that is not here followed another database, or a later state of this one.
        CREATE TABLE seals (
            id INTEGER PRIMARY KEY AUTOINCREMENT, collection INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
            word TEXT NOT NULL);
        CREATE INDEX seals_by_collection ON seals (collection, word);

        -- text: of source, title, text, pages and headings. vectors: eight bytes for each chunk, in order. See `ContentChecksum`.
        -- Documents that an earlier version stored have no row until they are verified for the first time.
        CREATE TABLE checksums (
            document INTEGER PRIMARY KEY REFERENCES documents (seq) ON DELETE CASCADE, text INTEGER NOT NULL, vectors BLOB NOT NULL);
        """

    /// Changes no row: texts that are there stay whole until `compact` or until their document is replaced. Vectors may be Float16 from here on, see `VectorBlob`.
    private static let textsOnce = """
        -- whole: whether `text` is all of the text; otherwise it is what lies after the last chunk, and the rest stands in the chunks. See `StoredText`.
        ALTER TABLE document_texts ADD COLUMN whole INTEGER NOT NULL DEFAULT 1;
        -- What lies between the end of the chunks before and the start of this one; NULL for nothing, and where the text is whole.
        ALTER TABLE chunks ADD COLUMN lead TEXT;
        """

    /// Copies every vector once: SQLite cannot change what a table's key is. About a second for 100,000 vectors of 384 dimensions.
    private static let vectorSpaces = """
        -- Vectors that may be compared with each other: those of one model in one collection. At most one space of a collection is serving.
        -- folder: where its index lies, below the collection's. keeps_old: whether the space before it stays when this one serves.
        CREATE TABLE spaces (
            id INTEGER PRIMARY KEY AUTOINCREMENT, collection INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
            model INTEGER NOT NULL REFERENCES models (id), state TEXT NOT NULL, folder TEXT NOT NULL, created_at INTEGER NOT NULL,
            keeps_old INTEGER NOT NULL DEFAULT 0, UNIQUE (collection, model));
        CREATE UNIQUE INDEX spaces_serving ON spaces (collection) WHERE state = 'serving';

        -- Vectors of another model than the settings name are a flaw, which `verify` told; they are kept apart.
        INSERT INTO spaces (collection, model, state, folder, created_at)
            SELECT f.collection, f.model, CASE WHEN m.name IS s.name AND m.dimension IS s.dimension THEN 'serving' ELSE 'kept' END,
                CASE WHEN m.name IS s.name AND m.dimension IS s.dimension THEN 'vectors' ELSE 'vectors-' || m.id END, m.created_at
            FROM (SELECT DISTINCT c.collection, v.model FROM vectors v JOIN chunks c ON c.id = v.chunk) f
            JOIN models m ON m.id = f.model
            JOIN (SELECT id, CASE WHEN json_valid(settings) THEN json_extract(settings, '$.embeddingModel') END AS name,
                    CASE WHEN json_valid(settings) THEN json_extract(settings, '$.dimension') END AS dimension
                FROM collections) s ON s.id = f.collection
            ORDER BY f.collection, f.model;

        -- vector: shape [dimension of the model], Float32, little-endian. checksum: eight bytes, see `ContentChecksum`; NULL until the first verification
        -- where an earlier version stored none.
        CREATE TABLE vectors_in_spaces (
            chunk INTEGER NOT NULL REFERENCES chunks (id) ON DELETE CASCADE,
            space INTEGER NOT NULL REFERENCES spaces (id) ON DELETE CASCADE, vector BLOB NOT NULL, checksum BLOB);
        INSERT INTO vectors_in_spaces (chunk, space, vector, checksum)
            SELECT v.chunk, s.id, v.vector, nullif(substr(k.vectors, 8 * c.ordinal + 1, 8), x'')
            FROM vectors v JOIN chunks c ON c.id = v.chunk JOIN spaces s ON s.collection = c.collection AND s.model = v.model
            LEFT JOIN checksums k ON k.document = c.document
            ORDER BY v.chunk;
        DROP TABLE vectors;
        ALTER TABLE vectors_in_spaces RENAME TO vectors;
        CREATE UNIQUE INDEX vectors_by_chunk ON vectors (chunk, space);
        ALTER TABLE checksums DROP COLUMN vectors;
        """

    /// Dates are Unix milliseconds. `seq` is the short key that other tables use for what users know by its `id`.
    private static let foundation = """
        CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;

        CREATE TABLE models (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL, dimension INTEGER NOT NULL, created_at INTEGER NOT NULL,
            UNIQUE (name, dimension));

        -- The counts and positions are kept by every writing transaction, so that reading them costs nothing.
        -- largest_chunk and last_deletion never go back, even when rows and log entries are gone.
        CREATE TABLE collections (
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, settings TEXT NOT NULL, created_at INTEGER NOT NULL,
            document_count INTEGER NOT NULL DEFAULT 0, chunk_count INTEGER NOT NULL DEFAULT 0, text_bytes INTEGER NOT NULL DEFAULT 0,
            largest_chunk INTEGER NOT NULL DEFAULT 0, last_deletion INTEGER NOT NULL DEFAULT 0, trimmed_deletion INTEGER NOT NULL DEFAULT 0);

        CREATE TABLE documents (
            seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
            collection INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
            source TEXT NOT NULL, title TEXT, mime_type TEXT NOT NULL, content_hash TEXT NOT NULL,
            byte_count INTEGER NOT NULL, page_count INTEGER, chunk_count INTEGER NOT NULL, text_bytes INTEGER NOT NULL,
            version INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, metadata TEXT NOT NULL,
            UNIQUE (collection, source), UNIQUE (collection, id));

        CREATE TABLE document_texts (
            document INTEGER PRIMARY KEY REFERENCES documents (seq) ON DELETE CASCADE, text TEXT NOT NULL, pages TEXT NOT NULL);

        -- One row per metadata value: kind is 's', 'n' or 'b'; a list has a row per member. value has no affinity on purpose.
        CREATE TABLE attributes (
            collection INTEGER NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, value NOT NULL,
            document INTEGER NOT NULL REFERENCES documents (seq) ON DELETE CASCADE,
            PRIMARY KEY (collection, key, kind, value, document)) WITHOUT ROWID;
        CREATE INDEX attributes_by_document ON attributes (document);

        -- AUTOINCREMENT: the number of a deleted chunk is never given out again.
        CREATE TABLE chunks (
            id INTEGER PRIMARY KEY AUTOINCREMENT, collection INTEGER NOT NULL,
            document INTEGER NOT NULL REFERENCES documents (seq) ON DELETE CASCADE,
            ordinal INTEGER NOT NULL, span_start INTEGER NOT NULL, span_end INTEGER NOT NULL, page INTEGER,
            token_count INTEGER NOT NULL, heading TEXT NOT NULL, text TEXT NOT NULL);
        CREATE INDEX chunks_by_collection ON chunks (collection);
        CREATE UNIQUE INDEX chunks_by_document ON chunks (document, ordinal);

        -- Shape [dimension of the model], Float32, little-endian.
        CREATE TABLE vectors (
            chunk INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE,
            model INTEGER NOT NULL REFERENCES models (id), vector BLOB NOT NULL);

        CREATE TABLE deletions (
            collection INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
            sequence INTEGER NOT NULL, chunk INTEGER NOT NULL, PRIMARY KEY (collection, sequence)) WITHOUT ROWID;

        CREATE TABLE jobs (
            seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
            collection INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
            state TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);
        CREATE INDEX jobs_by_collection ON jobs (collection);

        CREATE TABLE job_files (
            job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE, sequence INTEGER NOT NULL, collection INTEGER NOT NULL,
            path TEXT NOT NULL, source TEXT NOT NULL, title TEXT, mime_type TEXT, metadata TEXT NOT NULL, is_spooled INTEGER NOT NULL,
            byte_count INTEGER NOT NULL, stage TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, reason TEXT, document TEXT,
            chunk_count INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (job, sequence)) WITHOUT ROWID;
        CREATE INDEX job_files_by_source ON job_files (collection, source);
        CREATE INDEX job_files_queued ON job_files (stage, job, sequence) WHERE stage = 'queued';
        CREATE INDEX job_files_in_flight ON job_files (stage) WHERE stage IN ('parsing', 'chunking', 'embedding', 'committing');
        CREATE INDEX job_files_spooled ON job_files (path) WHERE is_spooled = 1;

        -- Files by stage, kept by triggers: progress of a job with a million files is a read of ten rows.
        CREATE TABLE job_stages (
            job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE, stage TEXT NOT NULL,
            file_count INTEGER NOT NULL, byte_count INTEGER NOT NULL, PRIMARY KEY (job, stage)) WITHOUT ROWID;
        CREATE TRIGGER job_files_inserted AFTER INSERT ON job_files BEGIN
            INSERT INTO job_stages (job, stage, file_count, byte_count) VALUES (new.job, new.stage, 1, new.byte_count)
            ON CONFLICT (job, stage) DO UPDATE SET file_count = file_count + 1, byte_count = byte_count + excluded.byte_count;
        END;
        CREATE TRIGGER job_files_staged AFTER UPDATE OF stage ON job_files WHEN old.stage <> new.stage BEGIN
            UPDATE job_stages SET file_count = file_count - 1, byte_count = byte_count - old.byte_count
            WHERE job = old.job AND stage = old.stage;
            INSERT INTO job_stages (job, stage, file_count, byte_count) VALUES (new.job, new.stage, 1, new.byte_count)
            ON CONFLICT (job, stage) DO UPDATE SET file_count = file_count + 1, byte_count = byte_count + excluded.byte_count;
        END;

        -- Who did what to which ids. Never text, titles or sources.
        CREATE TABLE audit (
            id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
            collection INTEGER, documents TEXT NOT NULL, chunk_count INTEGER NOT NULL);
        CREATE INDEX audit_by_time ON audit (at);
        """
}
