// Microseconds to render a conversation of 20 messages, on one thread.
//
//   chat_template_bench [--smoke] [template.jinja ...]
//
// Without files the golden templates are used. Run from the repository's root.
#include <time.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "infer/text/chat_template/chat_template.h"

namespace {

using sis::text::tmpl::Value;

double cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

Value text(const char* value) { return Value::string(value); }

Value conversation() {
  Value::Items messages;
  messages.push_back(
      Value::dict({{text("role"), text("system")}, {text("content"), text("Be brief.")}}));
  for (int i = 0; i < 19; ++i)
    messages.push_back(Value::dict({{text("role"), text(i % 2 == 0 ? "user" : "assistant")},
                                    {text("content"), Value::string(std::string(300, 'a'))}}));
  return Value::dict({{text("messages"), Value::list(std::move(messages))},
                      {text("add_generation_prompt"), Value::boolean(true)},
                      {text("tools"), Value::none()},
                      {text("bos_token"), text("<s>")},
                      {text("eos_token"), text("</s>")}});
}

}  // namespace

int main(int argc, char** argv) {
  size_t rounds = 2000;
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--smoke")
      rounds = 3;
    else
      paths.emplace_back(argv[i]);
  }
  if (paths.empty())
    for (const auto& entry : std::filesystem::directory_iterator("tests/golden/chat_template"))
      if (entry.path().extension() == ".jinja") paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  const Value context = conversation();
  for (const std::string& path : paths) {
    std::ifstream file(path);
    const std::string source{std::istreambuf_iterator<char>(file), {}};
    const double parse_begin = cpu_us();
    const auto parsed = sis::text::ChatTemplate::parse(source);
    const double parse_us = cpu_us() - parse_begin;
    if (!parsed) {
      fmt::print(stderr, "chat_template_bench: {}: {}\n", path, parsed.error().message);
      return 1;
    }
    std::vector<double> times;
    for (size_t i = 0; i < rounds; ++i) {
      const double begin = cpu_us();
      const auto done = parsed->render(context);
      times.push_back(cpu_us() - begin);
      if (!done) {
        fmt::print(stderr, "chat_template_bench: {}: {}\n", path, done.error().message);
        return 1;
      }
    }
    std::sort(times.begin(), times.end());
    fmt::print("{:<48} p50 {:7.1f} us  p99 {:7.1f} us  rounds {}  parse {:.0f} us\n", path,
               times[times.size() / 2], times[times.size() * 99 / 100], times.size(), parse_us);
  }
  return 0;
}
