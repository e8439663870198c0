import Glibc
import Storage

/// Names a list of one inverted file.
typealias ListID = UInt32

/// Names what was announced together, so that it can be taken back.
struct LookaheadTicket: Hashable, Sendable {
    var number: UInt64
}

/// Where the inverted lists of one file come from: a mapped file; in time a pool in memory, or on a device.
///
/// A search asks for the lists of a round at once (`ProbeRounds`), so a source that has to fetch them can fetch all of them together; and whoever guesses
/// which lists a search is going to want may say so before.
protocol ListSource: Sendable {
    /// What can go wrong when bytes are fetched; `Never` where they are simply there.
    associatedtype Failure: Error

    /// Says that these lists are going to be wanted. Returns soon, promises nothing, and changes no answer.
    func expect(_ lists: [ListID], for ticket: LookaheadTicket)

    /// What was announced under a ticket is not wanted any more.
    func cancel(_ ticket: LookaheadTicket)

    /// The lists, to be read until the lease ends. May wait: call it where waiting is allowed.
    ///
    /// - Throws: When their bytes cannot be had.
    func lease(_ lists: [ListID]) throws(Failure) -> ListLease
}

/// Lists that stay where they are while this value lives.
struct ListLease: ~Copyable {
    /// Keeps the memory alive.
    private let owner: AnyObject
    private let places: UnsafePointer<InvertedFile.List>

    /// - Parameter places: Shape `[nlist]`; those that were asked for are valid as long as `owner` lives.
    init(places: UnsafePointer<InvertedFile.List>, owner: AnyObject) {
        self.places = places
        self.owner = owner
    }

    @inline(__always)
    subscript(_ list: ListID) -> InvertedFile.List { places[Int(list)] }
}

/// Lists that lie in a mapped file. The kernel brings their pages in when they are touched, or before, when they were expected.
struct MappedLists: ListSource {
    let file: InvertedFile

    /// Asks the kernel to read the extents ahead. It may block for a moment while it queues the reads.
    func expect(_ lists: [ListID], for ticket: LookaheadTicket) {
        let page = UInt(sysconf(Int32(_SC_PAGESIZE)))
        for list in lists where Int(list) < file.nlist {
            let (address, size) = file.extent(of: Int(list))
            let start = UInt(bitPattern: address) & ~(page - 1)
            // Advice: where it is refused, the pages come when they are touched.
            madvise(UnsafeMutableRawPointer(bitPattern: start), Int(UInt(bitPattern: address) - start) + size, MADV_WILLNEED)
        }
    }

    /// The kernel takes no advice back.
    func cancel(_ ticket: LookaheadTicket) {}

    func lease(_ lists: [ListID]) throws(Never) -> ListLease { ListLease(places: file.places, owner: file) }
}
