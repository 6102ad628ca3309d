// What this program was built from.
#pragma once

namespace godwit {

/// The git commit, 12 hex digits, with "-dirty" behind it when tracked files differed; "unknown" when it was built
/// outside a repository. Defined in a file that cmake/commit.cmake writes.
const char* git_commit();

}  // namespace godwit
