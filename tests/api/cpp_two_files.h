// What cpp_clients.cpp wants of the program's other file that has the C++ interface in it.
#pragma once

/// Attaches a client of its own, makes calls, and says how many were seen.
int calls_seen_by_other_file();
/// Leaves a client behind whose owner was destroyed in its handler.
void abandon_in_other_file();
