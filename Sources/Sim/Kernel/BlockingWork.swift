import Environment

/// The blocking work of the nodes of a world.
///
/// A piece of work is one step of the scheduler. With `splits` it is several: other jobs run
/// between its disk operations, its node may die there, and what it has done so far may be seen
/// elsewhere.
final class BlockingWork {
  /// Whether other jobs run between the disk operations of a piece of work.
  var splits = false
  /// The piece that runs in this step.
  private(set) var current: Piece?
  private var idle: [TurnThread] = []

  deinit { for thread in idle { thread.end() } }

  /// Runs `body` for a node, and then `done` with the time that its disk operations took.
  func run(_ body: @escaping () -> Void, of life: Life, then done: @escaping (Duration) -> Void) {
    let piece = Piece(life, splits ? idle.popLast() ?? TurnThread() : nil, done)
    current = piece
    defer { current = nil }
    if let thread = piece.thread {
      if thread.begin(body) { end(piece) }
    } else {
      body()
      end(piece)
    }
  }

  /// Adds the time that an operation takes.
  func spend(_ time: Duration) { current?.busy += time }

  /// Lets the time of the operations so far pass, and other jobs run, if the world splits work.
  /// Returns at once when the node dies.
  func pause() {
    guard let piece = current, let thread = piece.thread else { return }
    let (life, took) = (piece.life, piece.busy)
    piece.busy = .zero
    life.expect(Wait("disk")) { [self] _ in
      goOn(piece, on: thread)
    } _: { waiter in
      life.scheduler.after(took) { waiter.resume() }
    }
    thread.pause()
  }

  private func goOn(_ piece: Piece, on thread: TurnThread) {
    current = piece
    defer { current = nil }
    if thread.resume() { end(piece) }
  }

  private func end(_ piece: Piece) {
    if let thread = piece.thread { idle.append(thread) }
    piece.done(piece.busy)
  }

  /// A piece of work that has begun.
  final class Piece {
    fileprivate let life: Life
    fileprivate let thread: TurnThread?
    fileprivate let done: (Duration) -> Void
    /// The time of its operations since its last pause.
    fileprivate var busy: Duration = .zero

    fileprivate init(_ life: Life, _ thread: TurnThread?, _ done: @escaping (Duration) -> Void) {
      self.life = life
      self.thread = thread
      self.done = done
    }
  }
}
