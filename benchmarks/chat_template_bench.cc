// Microseconds to render a conversation of 20 messages, on one thread, and to parse the template.
//
//   chat_template_bench [--smoke] [--rounds N] [--context FILE] [template.jinja ...]
//
// FILE holds the variables of the template as one JSON object (tools/bench_chat_templates.py writes
// some); without it a seeded conversation of users and assistants is made. Without files the golden
// templates are used that need neither tools nor documents. Run from the repository's root.
#include <sys/utsname.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/rng.h"
#include "base/strings.h"
#include "infer/text/chat_template/chat_template.h"
#include "infer/text/chat_template/json_text.h"

namespace {

using sis::text::tmpl::Value;

constexpr uint64_t kSeed = 17;
constexpr int kMessages = 20;

// Processor time of this thread, so that other work on the machine does not count.
double cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name"))
      return std::string(sis::trim(std::string_view(line).substr(line.find(':') + 1)));
  return "unknown CPU";
}

Value text(std::string_view value) { return Value::string(std::string(value)); }

Value conversation() {
  constexpr std::string_view kWords[] = {"the",     "river", "weather", "question", "because",
                                         "it's",    "2024",  "London",  "always",   "between",
                                         "answers", "of",    "model",   "children", "in"};
  sis::Rng rng{kSeed};
  Value::Items messages;
  for (int i = 0; i < kMessages; ++i) {
    std::string words;
    for (uint64_t n = 10 + rng.below(90); n > 0; --n)
      words += sis::concat(kWords[rng.below(std::size(kWords))], " ");
    messages.push_back(Value::dict({{text("role"), text(i % 2 == 0 ? "user" : "assistant")},
                                    {text("content"), Value::string(std::move(words))}}));
  }
  return Value::dict({{text("messages"), Value::list(std::move(messages))},
                      {text("add_generation_prompt"), Value::boolean(true)},
                      {text("tools"), Value::none()},
                      {text("bos_token"), text("<s>")},
                      {text("eos_token"), text("</s>")}});
}

int fail(std::string_view what, const std::string& why) {
  fmt::print(stderr, "chat_template_bench: {}: {}\n", what, why);
  return 1;
}

int run(const std::string& path, const Value& context, size_t rounds) {
  const std::string source = read_all(path);
  const double parse_begin = cpu_us();
  const auto parsed = sis::text::ChatTemplate::parse(source);
  const double parse_us = cpu_us() - parse_begin;
  if (!parsed) return fail(path, parsed.error().message);
  std::vector<double> times;
  size_t prompt_bytes = 0;
  for (size_t i = 0; i < rounds; ++i) {
    const double begin = cpu_us();
    const auto done = parsed->render(context);
    times.push_back(cpu_us() - begin);
    if (!done) return fail(path, done.error().message);
    prompt_bytes = done->size();
  }
  std::sort(times.begin(), times.end());
  fmt::print("{:<50} p50 {:7.1f} us  p99 {:7.1f} us  rounds {}  prompt {} bytes  parse {:.0f} us\n",
             path.substr(path.size() > 50 ? path.size() - 50 : 0), times[times.size() / 2],
             times[times.size() * 99 / 100], times.size(), prompt_bytes, parse_us);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  size_t rounds = 2000;
  std::string context_path;
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--smoke")
      rounds = 3;
    else if (argument == "--rounds" && i + 1 < argc)
      rounds = std::max<size_t>(std::strtoul(argv[++i], nullptr, 10), 1);
    else if (argument == "--context" && i + 1 < argc)
      context_path = argv[++i];
    else
      paths.emplace_back(argument);
  }
  if (paths.empty())
    for (const auto& entry : std::filesystem::directory_iterator("tests/golden/chat_template"))
      if (entry.path().extension() == ".jinja" && entry.path().stem().extension().empty())
        paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  Value context;
  if (context_path.empty()) {
    context = conversation();
  } else {
    auto given = sis::text::tmpl::from_json(read_all(context_path), context_path);
    if (!given) return fail(context_path, given.error().message);
    context = std::move(given).value();
  }
  utsname system{};
  uname(&system);
  fmt::print(
      "chat_template_bench: commit {}, {}, {} {}, {}, one thread\n", SIS_COMMIT, cpu_model(),
      system.sysname, system.release,
      context_path.empty() ? sis::concat(kMessages, " messages, seed ", kSeed) : context_path);
  for (const std::string& path : paths)
    if (const int status = run(path, context, rounds); status != 0) return status;
  return 0;
}
