"""Builds dev_questions.json from dev_questions.txt and the tool and JSON questions below.  python -m chat.make_dev"""
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = [  # declared tools, question, call
    (["get_weather"], "Should I pack sunglasses for Valparaiso?", "get_weather", {"city": "Valparaiso"}),
    (["get_weather", "get_time"], "Say, what's it like outside in Ulm just now?", "get_weather", {"city": "Ulm"}),
    (["get_time", "add"], "My aunt lives in Honolulu. What does her clock show?", "get_time", {"city": "Honolulu"}),
    (["search", "get_weather"], "Find me something on the web about antique typewriters", "search", {"query": "antique typewriters"}),
    (["add"], "I have 318 and get 27 more. How many is that? Add them.", "add", {"a": 318, "b": 27}),
    (["add", "multiply"], "Please work out 48 times 6", "multiply", {"a": 48, "b": 6}),
    (["set_setting", "get_setting"], "Please make CHAT_BATCH_MAX_SIZE equal to 12", "set_setting", {"name": "CHAT_BATCH_MAX_SIZE", "value": "12"}),
    (["get_setting", "search"], "Tell me what LOG_LEVEL is at the moment", "get_setting", {"name": "LOG_LEVEL"}),
    (["send_email", "search"], "Drop bob@farm.org a mail about fresh eggs", "send_email", {"to": "bob@farm.org", "subject": "fresh eggs"}),
    (["book_flight", "get_weather"], "I want a flight, leaving Lyon, going to Bergen", "book_flight", {"from": "Lyon", "to": "Bergen"}),
    (["get_metric"], "How high is chat_batch_queue_size at the moment?", "get_metric", {"name": "chat_batch_queue_size"}),
    (["load_model", "restart_service"], "Could you load Acme/tiny-7 for me", "load_model", {"model": "Acme/tiny-7"}),
]
JSONS = [  # system, question, value
    (None, "Which setting bounds the waiting line? Reply in JSON with the key setting.", {"setting": "MAX_QUEUE_SIZE"}),
    ("Answer with JSON only.", "What is the scrape path? Use the key route.", {"route": "GET /metrics"}),
    (None, "Give me JSON: Olga is 44 years old. Keys: name, age.", {"name": "Olga", "age": 44}),
    (None, "As JSON with the keys name and city: Bruno lives in Trieste", {"name": "Bruno", "city": "Trieste"}),
    (None, "Turn into a JSON object: color: teal, size: 7", {"color": "teal", "size": 7}),
    ("Respond only with a valid JSON object.", "the room is kitchen and the level is 3", {"room": "kitchen", "level": 3}),
    (None, "JSON please, key word: the word should be pelican", {"word": "pelican"}),
    (None, "Put apple, plum and fig in a JSON list called fruits", {"fruits": ["apple", "plum", "fig"]}),
]


def main():
    items = []
    for line in (HERE / "dev_questions.txt").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            topic, question, *keywords = [cell.strip() for cell in line.split(" | ")]
            items.append({"topic": topic, "question": question, "keywords": keywords})
    items += [{"topic": "tools", "tools": tools, "question": question, "call": {"name": name, "arguments": arguments}}
              for tools, question, name, arguments in TOOLS]
    items += [{"topic": "json", **({"system": system} if system else {}), "question": question, "json": value}
              for system, question, value in JSONS]
    text = "[\n" + ",\n".join(" " + json.dumps(item, ensure_ascii=False) for item in items) + "\n]\n"
    (HERE / "dev_questions.json").write_text(text, encoding="utf-8")
    print(len(items), "questions")


if __name__ == "__main__":
    main()
