import Documents
import Hummingbird
import Ingestion
import Serving

extension Frontend {
    /// `GET /v1/jobs?limit=`, newest first.
    func listJobs(_ request: Request, _ context: Context) async throws -> Response {
        let limit = try Query(request, known: ["limit"]).integer("limit", in: 1...500) ?? 50
        return JSON.response(["jobs": try await services.ingesting.jobs(limit: limit, scope: scope(of: context)).map(JobBody.init)])
    }

    private func job(_ context: Context) throws -> JobID { JobID(rawValue: try Self.parameter("id", context)) }

    /// `GET /v1/jobs/{id}`.
    func getJob(_ request: Request, _ context: Context) async throws -> Response {
        _ = try Query(request, known: [])
        return JSON.response(JobBody(try await services.ingesting.status(of: try job(context), scope: scope(of: context))))
    }

    /// `POST /v1/jobs/{id}/cancel`.
    func cancelJob(_ request: Request, _ context: Context) async throws -> Response {
        JSON.response(JobBody(try await services.ingesting.cancel(try job(context), scope: scope(of: context))))
    }

    /// `POST /v1/jobs/{id}/retry`: puts failed and cancelled files back into the queue.
    func retryJob(_ request: Request, _ context: Context) async throws -> Response {
        JSON.response(JobBody(try await services.ingesting.retry(try job(context), scope: scope(of: context))))
    }

    /// `GET /v1/jobs/{id}/events`: `progress`, `file` and at last `summary`. Ends early, with a comment, when the server shuts down: the job goes on after the restart.
    func jobEvents(_ request: Request, _ context: Context) async throws -> Response {
        _ = try Query(request, known: [])
        let permit = try await streams.enter()
        let events = try await services.ingesting.events(of: try job(context), scope: scope(of: context))
        return EventStream.response(
            context: context, clientGone: connections.latch(of: context.channel), timeout: nil, heartbeat: configuration.heartbeat,
            permit: permit
        ) { [shutdown] stream in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    await shutdown.wait()
                    try Task.checkCancellation()
                    try await stream.comment("the server shuts down; ask again for the job later")
                }
                group.addTask {
                    for await event in events {
                        switch event {
                        case .progress(let status): try await stream.send("progress", JobBody(status))
                        case .file(let outcome): try await stream.send("file", FileEventBody(file: FileBody(outcome)))
                        case .summary(let status, let chunks, let seconds):
                            try await stream.send("summary", SummaryEventBody(status, chunks: chunks, seconds: seconds))
                        }
                    }
                }
                defer { group.cancelAll() }
                try await group.next()
            }
        }
    }
}
