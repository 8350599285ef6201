"""Other methods for class activation maps, which RIB is compared with: the Grad-CAM family and AdvCAM."""
