import Environment

/// The rooms of all namespaces and their listeners. Joining takes constant time, leaving
/// logarithmic time in the size of the room.
struct SocketRooms<Listener: AnyObject> {
  private struct Name: Hashable {
    let namespace: String
    let name: String
  }

  private struct Entry {
    /// Higher than all numbers before it, so the entries of a room are sorted.
    let number: Int64
    /// Nil after the socket has left.
    var listener: Listener?
  }

  private struct Room {
    var entries: [Entry] = []
    var left = 0
  }

  private var rooms: [Name: Room] = [:]

  /// The number of rooms with listeners.
  var count: Int { rooms.count }

  /// Adds a socket. Its number is higher than all before it.
  mutating func join(_ listener: Listener, _ number: Int64, _ names: [String], in namespace: String) {
    for name in names {
      rooms[Name(namespace: namespace, name: name), default: Room()].entries.append(
        Entry(number: number, listener: listener))
    }
  }

  mutating func leave(_ number: Int64, _ names: [String], in namespace: String) {
    for name in names { leave(number, Name(namespace: namespace, name: name)) }
  }

  private mutating func leave(_ number: Int64, _ name: Name) {
    guard let entries = rooms[name]?.entries else { return }
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].number < number { low = middle + 1 } else { high = middle }
    }
    guard low < entries.count, entries[low].number == number, entries[low].listener != nil else { return }
    forget(low, name)
  }

  private mutating func forget(_ index: Int, _ name: Name) {
    rooms[name]!.entries[index].listener = nil
    rooms[name]!.left += 1
    let (left, total) = (rooms[name]!.left, rooms[name]!.entries.count)
    if left == total {
      rooms[name] = nil
    } else if left * 2 > total {
      rooms[name]!.entries.removeAll { $0.listener == nil }
      rooms[name]!.left = 0
    }
  }

  /// The listeners of a room, in the order in which they joined. The sequence does not change while
  /// listeners leave.
  func listeners(in namespace: String, _ name: String) -> some Sequence<Listener> {
    (rooms[Name(namespace: namespace, name: name)]?.entries ?? []).lazy.compactMap(\.listener)
  }
}
