/* commands.h - what `kujata` can be told to do.
 *
 * A command gets the arguments behind its name and returns the exit status: 0, 1 when
 * something failed, EXIT_USAGE when the command line is wrong.
 */
#ifndef KUJATA_APP_COMMANDS_H
#define KUJATA_APP_COMMANDS_H

int command_bench(int argc, char *const *argv);
int command_serve(int argc, char *const *argv);
int command_spec(int argc, char *const *argv);
int command_sub(int argc, char *const *argv);

#endif
