"""The broker answers the sequences of `Tests/Fixtures/amqp-answers.json` as RabbitMQ has."""

import difflib
import json
import unittest

from broker import Broker
from differential import fixture
from differential.freedoms import SHARED_END, first_difference, freed
from differential.fuzz import play


def difference(port, entry):
    """Returns the first step that differs, with both answers, or an empty text."""
    steps = [step for step, _ in entry["steps"]]
    for (step, theirs), ours in zip(entry["steps"], play(port, steps)):
        if freed(ours) != theirs:
            return "\n".join([json.dumps(step), *difflib.ndiff(theirs, freed(ours))])
    return ""


class Differential(unittest.TestCase):
    def test_answers_of_rabbitmq(self):
        known = fixture.known()
        entries = fixture.read()
        self.assertGreaterEqual(len(entries), fixture.COUNT)
        self.assertLessEqual(set(known), {entry["seed"] for entry in entries})
        for entry in entries:
            with self.subTest(entry["seed"]), Broker() as broker:
                found = difference(broker.port, entry)
                self.assertTrue(broker.running(), "the broker has ended")
                if entry["seed"] in known:
                    self.assertTrue(found, f"does not differ any more: {known[entry['seed']]}")
                else:
                    self.assertEqual(found, "")

    def test_another_answer_is_a_difference(self):
        entry = next(entry for entry in fixture.read() if entry["seed"] not in fixture.known())
        step, answers = entry["steps"][-1]
        entry["steps"][-1] = [step, [*answers, "a1: basic.deliver {}"]]
        with Broker() as broker:
            self.assertIn("- a1: basic.deliver {}", difference(broker.port, entry))

    def test_a_shared_end_excuses_what_follows_alone(self):
        end = [f"a0: {SHARED_END}", "queue q1: 1 messages, 0 consumers"]
        lost = [f"a0: {SHARED_END}", "queue q1: 0 messages, 0 consumers"]
        self.assertIsNone(first_difference([["a1: x"], end, ["b1: x"]], [["a1: x"], lost, ["b1: y"]]))
        self.assertEqual(first_difference([["a1: x"], end], [["a1: y"], lost]), 0)
        # Both have to come to that end.
        self.assertEqual(first_difference([end], [lost[1:]]), 0)


if __name__ == "__main__":
    unittest.main()
