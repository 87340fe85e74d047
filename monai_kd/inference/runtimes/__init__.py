"""Who runs the network: OpenVINO, ONNX Runtime or torch."""
