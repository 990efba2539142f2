# GPUs: found or left out. LibTorch's CUDA half is linked where setup.sh unpacked the libraries it needs; the same
# sources then run on a GPU through ATen. No CUDA language and no find_package(CUDAToolkit): both demand a toolkit.
find_program(WEFT_NVCC nvcc
    HINTS ENV CUDA_HOME /usr/local/cuda ${WEFT_LIBTORCH}/nvidia/cu13 PATH_SUFFIXES bin
    DOC "The CUDA compiler, for CUDA kernels")

# The headers of cuDNN and of its graphs: attention's plans compile, and are tested as far as cuDNN goes without a GPU,
# wherever these are. cuDNN itself is loaded at run time.
find_path(WEFT_CUDNN_INCLUDE cudnn.h
    HINTS ${WEFT_LIBTORCH}/nvidia/cudnn/include ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES include)
find_path(WEFT_CUDART_INCLUDE cuda_runtime.h
    HINTS ${WEFT_LIBTORCH}/nvidia/cu13/include ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES include)
find_path(WEFT_CUDNN_FRONTEND_INCLUDE cudnn_frontend.h HINTS ${WEFT_LIBTORCH}/include)

set(weft_gpu_libraries TRUE)
foreach(file torch/lib/libtorch_cuda.so nvidia/cu13/lib/libcublas.so.13 nvidia/cudnn/lib/libcudnn.so.9)
  if(NOT EXISTS ${WEFT_LIBTORCH}/${file})
    set(weft_gpu_libraries FALSE)
    set(weft_gpu_missing ${WEFT_LIBTORCH}/${file})
  endif()
endforeach()

if(NOT WEFT_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "WEFT_CUDA is '${WEFT_CUDA}'; expected AUTO, ON or OFF.")
endif()
if(WEFT_CUDA STREQUAL ON AND NOT weft_gpu_libraries)
  message(FATAL_ERROR "WEFT_CUDA is ON, but ${weft_gpu_missing} is missing. Run: WEFT_CUDA=ON scripts/setup.sh")
endif()
if(WEFT_CUDA STREQUAL ON AND NOT WEFT_NVCC)
  message(FATAL_ERROR "WEFT_CUDA is ON, but nvcc was not found. Run: WEFT_CUDA=ON scripts/setup.sh")
endif()

if(weft_gpu_libraries AND NOT WEFT_CUDA STREQUAL OFF)
  set(WEFT_HAS_CUDA TRUE)
  foreach(lib c10_cuda torch_cuda)
    add_library(weft_imported_${lib} SHARED IMPORTED)
    set_target_properties(weft_imported_${lib} PROPERTIES
        IMPORTED_LOCATION ${WEFT_LIBTORCH}/torch/lib/lib${lib}.so)
  endforeach()
  target_include_directories(weft_torch SYSTEM INTERFACE ${WEFT_LIBTORCH}/nvidia/cu13/include)
  # No symbol of it is called: it registers the CUDA operators when it is loaded, so it must not be dropped.
  target_link_libraries(weft_torch INTERFACE
      -Wl,--push-state,--no-as-needed weft_imported_torch_cuda weft_imported_c10_cuda -Wl,--pop-state)
else()
  set(WEFT_HAS_CUDA FALSE)
endif()
message(STATUS "weft: GPU support ${WEFT_HAS_CUDA} (WEFT_CUDA=${WEFT_CUDA}, nvcc: ${WEFT_NVCC})")
