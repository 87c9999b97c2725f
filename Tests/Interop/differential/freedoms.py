"""The freedoms of a broker: differences between transcripts that do not count, each with its
reason. The player applies those that concern one field.

- The text of an error and of a return. The specification leaves it to the broker; the code counts.
- Names that the broker generates. They are numbered in the order of their appearance.
- The headers `x-last-death-*`. RabbitMQ writes them from 3.13 on, and the compared one is 3.10.
- The time of a death. The clocks of the brokers differ.
- The order of the fields of a table. Fields are found by name.
- How many confirms come together, and their order. A broker may confirm several publications with
  one `basic.ack`, and confirms when its disk has synced. The set of confirmed numbers counts.
- The order of events on different channels. They are independent.
- An answer where RabbitMQ gives several to one sequence, for example the order of deliveries from
  two queues to one channel. The search plays a sequence that differs again. It passes if RabbitMQ
  then answers as the embedded broker does both times. Such sequences are counted.
- Which queue's consumer goes on first when a limit that consumers of several queues share is not
  reached any more. RabbitMQ chooses one at random.
- When a message of a priority queue expires that has overtaken others by its priority. RabbitMQ
  looks at its lifetime when the queue is used next. No such lifetimes are drawn.
- When the messages return that a channel had got by `basic.get`, after the broker has closed it.
  RabbitMQ sends `channel.close` before. The player waits a moment.
- Deliveries on a connection that the broker closes in the same step. RabbitMQ ends the channels of
  the connection one after the other, so a message of one channel may still go to another one.
- What follows the end of a connection while one of its channels holds messages of a queue that
  another one consumes. RabbitMQ's channels are processes that end apart, in no fixed order. A
  message of the first may go to the second, which then returns it late or, without
  acknowledgements, loses it. Of 100 such ends without acknowledgements 47 lost the messages, with
  either channel first. Differences from there on are counted, and are no failures.
"""

import re

# The line of a step in which a connection ends with such channels.
SHARED_END = "ends while its channels share a queue"


def first_unequal(ours, theirs):
    """Returns the number of the first step that is not equal, or None."""
    return next((number for number, (a, b) in enumerate(zip(ours, theirs)) if freed(a) != freed(b)), None)


def first_difference(ours, theirs):
    """Returns the number of the first step that is not equal, or None if a shared end excuses it."""
    number = first_unequal(ours, theirs)
    if number is None or any(ends(a) and ends(b) for a, b in zip(ours[:number + 1], theirs)):
        return None
    return number


def ends(lines):
    """Returns whether a connection with such channels ends in a step."""
    return any(line.endswith(SHARED_END) for line in lines)


def freed(lines):
    """Returns the lines of one step, ordered by channel. The order within a channel stays."""
    closed = {line.split("0:")[0] for line in lines if re.match(r"[a-z]+0: connection\.close ", line)}
    delivery = re.compile(r"([a-z]+)[0-9]+: basic\.deliver ")
    counted = [line for line in lines if not ((match := delivery.match(line)) and match[1] in closed or line.endswith(SHARED_END))]
    return sorted(counted, key=lambda line: line.split(":")[0])
