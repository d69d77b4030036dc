// The subcommands of `sis`: each parses its own arguments (argv[0] is "sis <name>"), validates,
// calls, and returns the process's exit code: 0 done, 1 failed while running, 2 wrong arguments or
// settings.
#pragma once

namespace sis::apps {

int serve_main(int argc, char** argv);
int settings_main(int argc, char** argv);
int keys_main(int argc, char** argv);
int chat_main(int argc, char** argv);
int generate_main(int argc, char** argv);
int embed_main(int argc, char** argv);
int tokenize_main(int argc, char** argv);
int demo_main(int argc, char** argv);
int bench_main(int argc, char** argv);
int perf_main(int argc, char** argv);
int gate_main(int argc, char** argv);
int report_main(int argc, char** argv);

}  // namespace sis::apps
