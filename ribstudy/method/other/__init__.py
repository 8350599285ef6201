"""Other methods for class activation maps, with which RIB is compared: the Grad-CAM family and AdvCAM."""
