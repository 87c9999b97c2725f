/// The oracles of the model of the contract. `docs/model.md` lists the sentences that they judge.
enum ContractOracles {
  static let all = [
    Oracle(
      "contacts", "contacts and their messages are as the contract says, in some order", .atOnce, over: \.contract
    ) { $0.breaches["contacts"] ?? [] },
    Oracle(
      "groups", "groups and their messages are as the contract says, in some order", .atOnce, over: \.contract
    ) { $0.breaches["groups"] ?? [] },
    Oracle("sessions", "a session works until somebody ends it", .atOnce, over: \.contract) {
      $0.breaches["sessions"] ?? []
    },
    Oracle(
      "customers", "a customer's session is as the contract says, in some order", .atOnce, over: \.contract
    ) { $0.breaches["customers"] ?? [] },
    Oracle("throttle", "logins are refused after too many failures, and only then", .atOnce, over: \.contract) {
      $0.breaches["throttle"] ?? []
    },
  ]
}
