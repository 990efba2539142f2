# cmake -DFILE=PROGRAM -P bundle_rpath.cmake: lets a bundled program look for its libraries beside itself alone, not where
# they lay when it was built.
file(RPATH_SET FILE "${FILE}" NEW_RPATH "\$ORIGIN/../lib")
