/// The oracle over the recovery of sockets. The other oracles treat a recovered socket as one that
/// was there all the time: it misses nothing, and hears nothing twice.
extension ChatOracles {
  /// A recovered socket is one of the same user, and receives later events than the one before it.
  /// Who does not ask for recovery gets no offsets.
  static func recovered(_ evidence: ChatEvidence) -> [Breach] {
    for socket in evidence.sockets {
      guard let former = socket.resumes.map({ evidence.sockets[$0] }), former.user != socket.user else { continue }
      return breach(
        "what a user missed is for this user alone",
        ["\(socket.person)'s socket of user \(socket.user) goes on from one of user \(former.user)"])
    }
    for socket in evidence.listeners {
      var last: (place: [Int64], text: String)?
      for (time, event, offset) in socket.offsets {
        guard let offset else {
          // `typing` may be told without a place in the order, and errors have none.
          if event == "typing" || event == "error" { continue }
          return breach(
            "a client that asks for recovery gets an offset with each event",
            ["\(VirtualTime.text(time)) \(socket.person) received \(event) without one"])
        }
        let place = offset.split(separator: "-").compactMap { Int64($0) }
        if !socket.asksForRecovery || place.count != 2 {
          return breach(
            "offsets are for clients that ask for recovery, as POSITION-PART",
            ["\(VirtualTime.text(time)) \(socket.person) received \(event) with the offset \"\(offset)\""])
        }
        if let last, !last.place.lexicographicallyPrecedes(place) {
          return breach(
            "a socket receives events in one order, each once, also after its recovery",
            ["\(VirtualTime.text(time)) \(socket.person) received \(event) at \(offset), after \(last.text)"])
        }
        last = (place, offset)
      }
    }
    return []
  }
}
