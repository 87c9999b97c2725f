import Simulation
import System
import Testing

@testable import Sim

@Suite("The model of queues")
struct QueueModelTests {
  private typealias Input = QueueModel.Input

  private static func message(_ number: Int, priority: Int = 0, isPersistent: Bool = true) -> QueueModel.Message {
    QueueModel.Message(number: number, bytes: 10, priority: priority, isPersistent: isPersistent)
  }

  private static func published(_ number: Int, priority: Int = 0, isPersistent: Bool = true) -> Input {
    .publish(
      QueueModel.Publication(
        message: message(number, priority: priority, isPersistent: isPersistent), route: .queue(0)), .confirmed)
  }

  private static func got(
    _ number: Int, tag: Int, left: Int, isRedelivered: Bool = false, from queue: Int = 0
  ) -> Input {
    .get(queue, channel: 1, noAck: false, .message(number, tag: tag, isRedelivered: isRedelivered, left: left))
  }

  private static func settled(_ tag: Int, _ kind: QueueModel.Settlement, isMultiple: Bool = false) -> Input {
    .settle(QueueModel.Settling(channel: 1, tag: tag, isMultiple: isMultiple, kind: kind))
  }

  private static func empty(_ queue: Int = 0) -> Input { .get(queue, channel: 1, noAck: false, .empty) }

  private static func model(_ rules: [QueueModel.Rules]) -> (QueueModel, QueueModel.State) {
    let model = QueueModel(rules: rules)
    return (model, model.initial(channels: 3))
  }

  private static func isExplained(
    _ inputs: [Input], _ rules: [QueueModel.Rules] = [QueueModel.Rules()]
  ) -> Bool {
    let (model, initial) = model(rules)
    return inputs.reduce(initial) { state, input in state.flatMap { model.step($0, input) } } != nil
  }

  @Test("messages come in order, and one that returns keeps its place")
  func order() {
    let two = [Self.published(1), Self.published(2)]
    #expect(Self.isExplained(two + [Self.got(1, tag: 1, left: 1), Self.got(2, tag: 2, left: 0), Self.empty()]))
    #expect(!Self.isExplained(two + [Self.got(2, tag: 1, left: 1)]))
    #expect(!Self.isExplained(two + [Self.got(1, tag: 1, left: 2)]))
    let returned = two + [Self.got(1, tag: 1, left: 1), Self.settled(1, .requeue)]
    #expect(Self.isExplained(returned + [Self.got(1, tag: 2, left: 1, isRedelivered: true)]))
    #expect(!Self.isExplained(returned + [Self.got(1, tag: 2, left: 1)]))
    #expect(!Self.isExplained(returned + [Self.got(2, tag: 2, left: 1)]))
    #expect(!Self.isExplained(two + [Self.got(1, tag: 1, left: 1), Self.settled(2, .acknowledge)]))
  }

  @Test("each type of exchange routes by its own rule")
  func routing() {
    typealias Model = RoutingModel
    func topic(_ pattern: String, _ keys: [String]) -> [Bool] {
      keys.map { Model.fits(Model.Binding(exchange: .topic, key: pattern), Model.Address(exchange: .topic, key: $0)) }
    }
    #expect(topic("a.*", ["a", "a.b", "a.b.c", "b.a", "a."]) == [false, true, false, false, true])
    #expect(topic("a.#", ["a", "a.b", "a.b.c", "b", ""]) == [true, true, true, false, false])
    #expect(topic("#.b", ["b", "a.b", "b.a", ".b"]) == [true, true, false, true])
    #expect(topic("a.#.b", ["a.b", "a.c.b", "a.c.d.b", "a"]) == [true, true, true, false])
    #expect(topic("#", ["", "a", "a.b"]) == [true, true, true])
    let (one, two) = (Model.Header(name: "h", value: 1), Model.Header(name: "k", value: 2))
    let extra = Model.Header(name: "x-h", value: 1)
    func headers(_ wanted: [Model.Header], _ match: Model.Match?, _ given: [Model.Header]) -> Bool {
      Model.fits(
        Model.Binding(exchange: .headers, headers: wanted, match: match),
        Model.Address(exchange: .headers, headers: given))
    }
    #expect(headers([one, two], nil, [two, one]) && !headers([one, two], nil, [one]))
    #expect(headers([one, two], .any, [one]) && !headers([one, two], .any, []))
    #expect(headers([], .all, []) && !headers([], .any, [one]))
    #expect(headers([one, extra], .all, [one]) && !headers([one, extra], .allWithX, [one]))
    #expect(headers([Model.Header(name: "h", value: nil)], .all, [one]) && !headers([one], .all, [two]))
    // Each binding fits some address and does not fit another one of its exchange, but for those
    // that fit all or none by their rule.
    for (index, binding) in Model.bindings.enumerated() where binding.exchange != .fanout {
      let fits = Model.addresses.filter { $0.exchange == binding.exchange }.map { Model.fits(binding, $0) }
      let isSure = binding.key == "#" || binding.exchange == .headers && binding.headers.allSatisfy { $0 == extra }
      #expect(isSure || fits.contains(true) && fits.contains(false), "binding \(index)")
    }
  }

  @Test("a higher priority comes first, up to the highest of the queue")
  func priorities() {
    let three = [Self.published(1), Self.published(2, priority: 1), Self.published(3, priority: 9)]
    #expect(Self.isExplained(three + [Self.got(1, tag: 1, left: 2)]))
    #expect(Self.isExplained(three + [Self.got(2, tag: 1, left: 2)], [QueueModel.Rules(highestPriority: 1)]))
    #expect(Self.isExplained(three + [Self.got(3, tag: 1, left: 2)], [QueueModel.Rules(highestPriority: 9)]))
  }

  @Test("a full queue drops its oldest message or refuses the new one, and dead letters arrive")
  func limits() {
    var rules = [QueueModel.Rules(maximumLength: 1, deadLetters: 1), QueueModel.Rules()]
    let two = [Self.published(1), Self.published(2)]
    #expect(Self.isExplained(two + [Self.got(2, tag: 1, left: 0), Self.got(1, tag: 2, left: 0, from: 1)], rules))
    rules[0].overflow = .rejectPublish
    let refused = Input.publish(QueueModel.Publication(message: Self.message(2), route: .queue(0)), .refused)
    #expect(!Self.isExplained(two, rules))
    #expect(Self.isExplained([two[0], refused, Self.empty(1), Self.got(1, tag: 1, left: 0)], rules))
    rules[0].overflow = .rejectPublishDeadLetter
    #expect(Self.isExplained([two[0], refused, Self.got(2, tag: 1, left: 0, from: 1)], rules))
    rules[0] = QueueModel.Rules(deliveryLimit: 0, deadLetters: 1)
    let returned = [two[0], Self.got(1, tag: 1, left: 0), Self.settled(1, .requeue)]
    #expect(Self.isExplained(returned + [Self.empty(), Self.got(1, tag: 2, left: 0, from: 1)], rules))
  }

  @Test("a consumer gets as many messages as it may hold")
  func consumers() {
    let (model, initial) = Self.model([QueueModel.Rules()])
    let consumer = QueueModel.Consumer(queue: 0, channel: 1, tag: "c", prefetch: 1, noAck: false)
    var state = initial
    for input in [Self.published(1), Self.published(2), .consume(consumer)] { state = model.step(state, input)! }
    #expect(state.sent.map(\.number) == [1])
    #expect(model.step(state, .count(0, ready: 1, consumers: 1)) != nil)
    state = model.step(state, Self.settled(1, .acknowledge))!
    #expect(state.sent.map(\.number) == [1, 2])
    #expect(model.step(state, .closeChannel(1))?.ready[0].map(\.number) == [2])
  }

  @Test("deliveries that are settled together come back by consumer, and those of basic.get one by one before them")
  func together() {
    let (model, initial) = Self.model([QueueModel.Rules()])
    func consumer(_ tag: String, prefetch: Int) -> QueueModel.Consumer {
      QueueModel.Consumer(queue: 0, channel: 1, tag: tag, prefetch: prefetch, noAck: false)
    }
    func requeued(_ tags: Int...) -> Input {
      .transaction(
        [], tags.map { QueueModel.Settling(channel: 1, tag: $0, kind: .requeue) }, isCommitted: true)
    }
    func sent(_ inputs: [Input]) -> [Int]? {
      var state: QueueModel.State? = initial
      for input in inputs { state = state.flatMap { model.step($0, input) } }
      return state?.sent.suffix(2).map(\.number)
    }
    func after(_ inputs: [Input], _ last: Input) -> [Int]? {
      sent(inputs + [.consume(consumer("d", prefetch: 0)), last])
    }
    // One consumer had both: they come back together, oldest first, in whatever order they are
    // named.
    let two = [Self.published(1), Self.published(2)]
    let consumed = two + [.consume(consumer("c", prefetch: 2)), .cancel("c")]
    #expect(after(consumed, requeued(2, 1)) == [1, 2])
    #expect(after(consumed, .recover(channel: 1)) == [1, 2])
    // Two consumers had one each.
    let first = [Self.published(1), .consume(consumer("z", prefetch: 1)), .cancel("z")]
    let second = [Self.published(2), .consume(consumer("a", prefetch: 1)), .cancel("a")]
    #expect(after(first + second, requeued(1, 2)) == [2, 1])
    #expect(after(first + second, Self.settled(2, .requeue, isMultiple: true)) == [2, 1])
    // What basic.get delivered comes back first.
    let got = [Self.published(2), Self.got(2, tag: 2, left: 0)]
    #expect(after(first + got, .recover(channel: 1)) == [2, 1])
    // A channel that ends gives back everything before its queues deliver.
    let elsewhere = QueueModel.Consumer(queue: 0, channel: 2, tag: "e", prefetch: 0, noAck: false)
    #expect(sent(first + second + [.consume(elsewhere), .closeChannel(1)]) == [1, 2])
  }

  @Test("an unroutable message is returned if it is mandatory, and a transaction is all or nothing")
  func routes() {
    var publication = QueueModel.Publication(message: Self.message(1), route: .address(0), isMandatory: true)
    #expect(Self.isExplained([.publish(publication, .returned)]))
    #expect(!Self.isExplained([.publish(publication, .confirmed)]))
    #expect(Self.isExplained([.bind(0, binding: 0, isBound: true), .publish(publication, .confirmed)]))
    publication.isMandatory = false
    #expect(Self.isExplained([.publish(publication, .confirmed), Self.empty()]))
    let sent = QueueModel.Publication(message: Self.message(2), route: .queue(0))
    let settling = QueueModel.Settling(channel: 1, tag: 1, kind: .acknowledge)
    let held = [Self.published(1), Self.got(1, tag: 1, left: 0)]
    #expect(
      Self.isExplained(
        held + [
          .transaction([sent], [settling], isCommitted: true), .closeChannel(1), Self.got(2, tag: 1, left: 0),
          Self.empty(),
        ]))
    #expect(
      Self.isExplained(
        held + [
          .transaction([sent], [settling], isCommitted: false), .closeChannel(1),
          Self.got(1, tag: 1, left: 0, isRedelivered: true), Self.empty(),
        ]))
  }

  @Test("a connection that ends leaves open how many of its last steps took effect, and a restart takes some back")
  func endings() {
    let steps = [Self.published(1), Self.published(2, isPersistent: false), Self.published(3)].map {
      guard case .publish(let publication, _) = $0 else { return QueueBelief.Step(input: $0) }
      return QueueBelief.Step(input: .publish(publication, nil))
    }
    func ready(_ steps: [QueueBelief.Step], mayRestart: Bool) -> [[Int]] {
      let (model, initial) = Self.model([QueueModel.Rules()])
      var belief = QueueBelief(model, initial)
      belief.takeBroken(steps, [], mayRestart: mayRestart)
      return belief.states.map { $0.ready[0].map(\.number) }
    }
    #expect(ready(steps, mayRestart: false) == [[], [1], [1, 2], [1, 2, 3]])
    #expect(ready(steps, mayRestart: true) == [[], [1], [1, 2], [1, 2, 3], [1], [1, 3]])
    var confirmed = steps
    confirmed[2] = QueueBelief.Step(input: Self.published(3), isAnswered: true, isOnDisk: true)
    #expect(ready(confirmed, mayRestart: false) == [[1, 2, 3]])
    #expect(ready(confirmed, mayRestart: true) == [[1, 2, 3], [1, 3]])
  }

  @Test(
    "planted bugs of the broker are found",
    arguments: [
      PlantedBug.confirmsEarly, .losesUnacknowledged, .requeuesAtTheEnd, .ignoresPriorities, .exceedsLengths,
    ])
  func planted(bug: PlantedBug) throws {
    var scenario = try Scenario.file("queues/methods")
    scenario.service.planted = [bug]
    let found = (1...60 as ClosedRange<UInt64>).contains { seed in
      ScenarioRunner(scenario).run(seed: seed).violations.contains { $0.oracle == "queue-model" }
    }
    #expect(found)
  }

  @Test("the model knows every argument of the table that is served, but those about time")
  func table() {
    let served = QueueArgument.all.filter { $0.effect == .served }.map(\.name)
    #expect(Set(served) == MethodQueues.modelled.union(MethodQueues.aboutTime))
  }
}
