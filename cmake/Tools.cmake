# Targets for people: `format` rewrites the sources with the pinned clang-format.
add_custom_target(format COMMAND ${PROJECT_SOURCE_DIR}/scripts/format.sh
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
