// How a target program starts itself anew: by the emulator that started it, if there was one
// (tests/Programs.cmake).
#pragma once

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct OwnCommand {
  char* words[16];  // for execvp and posix_spawnp; there is room for more behind them
  int count;
  char text[4096];
};

/// Then what the system says of this process is about the emulator, its memory for instance.
static inline int is_emulated(void) {
  const char* wrapper = getenv("CALLTAP_EXEC_WRAPPER");
  return wrapper != NULL && *wrapper != '\0';
}

/// The words of CALLTAP_EXEC_WRAPPER and the program.
static inline struct OwnCommand* own_command(void) {
  static struct OwnCommand command;
  static char program[] = "/proc/self/exe";
  command.count = 0;
  const char* wrapper = getenv("CALLTAP_EXEC_WRAPPER");
  if (!is_emulated()) {
    command.words[command.count++] = program;
    return &command;
  }
  // The link's text is the program only here, where the emulator answers.
  static char path[4096];
  const ssize_t length = readlink(program, path, sizeof path - 1);
  if (length < 0) abort();
  path[length] = '\0';
  if (strlen(wrapper) >= sizeof command.text) abort();
  strcpy(command.text, wrapper);
  char* rest = NULL;
  for (char* word = strtok_r(command.text, " ", &rest); word != NULL && command.count < 8;
       word = strtok_r(NULL, " ", &rest)) {
    command.words[command.count++] = word;
  }
  command.words[command.count++] = path;
  return &command;
}

static inline void add_word(struct OwnCommand* command, char* word) {
  command->words[command->count++] = word;
  command->words[command->count] = NULL;
}
